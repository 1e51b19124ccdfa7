/** Runs inside the extension host, beside the installed extension: its tool, its settings, its event loop. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as vscode from 'vscode';
import { type EventLoopReport, watchEventLoop } from './eventLoop.ts';

const extensionId = 'spring-rag.spring-rag';

/** What VS Code calls; what it measures is written to the file named by SPRING_MEASUREMENTS. */
export async function run(): Promise<void> {
  const extension = vscode.extensions.getExtension(extensionId);
  assert.ok(extension, 'the extension is not installed');
  await extension.activate();
  const file = process.env['SPRING_MEASUREMENTS'];
  assert.ok(file !== undefined);
  writeFileSync(file, JSON.stringify(await measurements()));
  await theToolSearches();
  await aSettingIsWrittenWhereItLives();
}

/** What the event loop of the extension host is kept from, by what is going on. */
async function measurements(): Promise<Record<string, EventLoopReport>> {
  const pause = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, 1000));
  const rebuild = (): PromiseLike<unknown> => vscode.commands.executeCommand('springRag.rebuildIndex');
  const ask = (name: string): PromiseLike<unknown> =>
    vscode.commands.executeCommand('springRag.compareQuestion', `Which port does ${name} listen on?`);
  const measured: Record<string, EventLoopReport> = { idle: await watchEventLoop(pause) };
  for (const round of [1, 2, 3]) {
    measured[`indexing ${String(round)}`] = await watchEventLoop(rebuild);
    await pause();
  }
  // The first opens the panel, starts the engine process and loads the model.
  for (const [place, name] of ['Breathelth', 'Hussor', 'Breathelth', 'Hussor', 'Breathelth'].entries()) {
    measured[`ask ${String(place + 1)}`] = await watchEventLoop(() => ask(name));
    await pause();
  }
  return measured;
}

async function theToolSearches(): Promise<void> {
  const tool = vscode.lm.tools.find(({ name }) => name === 'spring_search_documents');
  assert.ok(tool, 'the language-model tool is not there');
  const result = await vscode.lm.invokeTool('spring_search_documents', {
    input: { query: 'port of Breathelth', count: 2 },
    toolInvocationToken: undefined,
  });
  const text = result.content.map((part) => (part as vscode.LanguageModelTextPart).value).join('');
  assert.match(text, /"path":"breathelth\.md"/);
  assert.equal(text.split('\n').length, 3);
}

async function aSettingIsWrittenWhereItLives(): Promise<void> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
  assert.ok(folder !== undefined);
  const tokenFile = join(extensionFolder(), 'media/demo/spring-50.pt');
  await vscode.commands.executeCommand('springRag.useTokenFile', vscode.Uri.file(tokenFile));
  const found = vscode.workspace.getConfiguration('springRag').inspect<string>('tokenFile');
  assert.equal(found?.globalValue, tokenFile);
  assert.equal(found.workspaceValue, undefined);
}

function extensionFolder(): string {
  return vscode.extensions.getExtension(extensionId)!.extensionPath;
}
