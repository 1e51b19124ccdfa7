/**
 * An extension that makes VS Code's chat usable without a service: a language model, which the chat asks for before it
 * lets anyone write, and an assistant `@asker` that calls the search tool as other assistants do.
 */
import * as vscode from 'vscode';

/** Newer than the oldest VS Code that the extension supports, so not in its types. */
interface ChatProviders {
  registerLanguageModelChatProvider: (vendor: string, provider: unknown) => vscode.Disposable;
}

export function activate(context: vscode.ExtensionContext): void {
  const model = {
    ...{ id: 'stub', name: 'Stub', family: 'stub', version: '1', maxInputTokens: 8000, maxOutputTokens: 100 },
    ...{ capabilities: { toolCalling: true, imageInput: false }, isUserSelectable: true, isDefault: true },
  };
  const provider = {
    provideLanguageModelChatInformation: () => [model],
    provideLanguageModelChatResponse: () => undefined,
    provideTokenCount: () => 1,
  };
  context.subscriptions.push(
    (vscode.lm as unknown as ChatProviders).registerLanguageModelChatProvider('stub', provider),
    vscode.chat.createChatParticipant('test.asker', askTheTool),
  );
}

/** `@asker QUERY`: the tool's reply as text. `@asker budget:50 QUERY` allows it so many words. */
async function askTheTool(
  request: vscode.ChatRequest,
  _: vscode.ChatContext,
  stream: vscode.ChatResponseStream,
  token: vscode.CancellationToken,
): Promise<void> {
  const budget = /^budget:(\d+) /.exec(request.prompt)?.[1];
  const tokenizationOptions = {
    tokenBudget: Number(budget),
    countTokens: (text: string) => Promise.resolve(text.split(/\s+/).length),
  };
  try {
    const result = await vscode.lm.invokeTool(
      'spring_search_documents',
      {
        input: { query: request.prompt.replace(/^budget:\d+ /, ''), count: 4 },
        toolInvocationToken: request.toolInvocationToken,
        ...(budget !== undefined && { tokenizationOptions }),
      },
      token,
    );
    const text = result.content.map((part) => (part as vscode.LanguageModelTextPart).value).join('');
    stream.markdown(`Passages: ${String(text.split('\n').length - 1)}\n\n${text.replaceAll('\n', '\n\n')}`);
  } catch (error) {
    stream.markdown(`The tool failed: ${error instanceof Error ? error.name : String(error)}`);
  }
}
