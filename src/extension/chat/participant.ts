/** The chat participant `@spring`: retrieves, answers with the local model, cites the files. */
import * as vscode from 'vscode';
import { panelIcon } from '../icons.ts';
import type { ComparisonRequest } from '../../protocol/comparison.ts';
import { CancelledError, messageOf, UserError } from '../../protocol/errors.ts';
import type { SearchHit } from '../../protocol/engine.ts';
import type { IndexState } from '../../protocol/panel.ts';
import type { ComparisonParts } from '../panel/comparison.ts';
import type { ComparisonSession } from '../panel/comparisonSession.ts';
import { hitLocation } from '../hitLocation.ts';
import { abortSignalOf } from './cancellation.ts';
import { escapeMarkdown } from './escapeMarkdown.ts';

export function registerParticipant(parts: ComparisonParts, session: ComparisonSession): vscode.Disposable {
  const participant = vscode.chat.createChatParticipant(
    'springRag.chat',
    async (request, _, stream, token) => {
      try {
        await answer(parts, session, request.prompt.trim(), stream, abortSignalOf(token));
        return {};
      } catch (error) {
        if (error instanceof CancelledError) return {};
        if (!(error instanceof UserError)) parts.log.error(error instanceof Error ? error : messageOf(error));
        return { errorDetails: { message: messageOf(error) } };
      }
    },
  );
  participant.iconPath = panelIcon(parts.context.extensionUri);
  return vscode.Disposable.from(participant);
}

async function answer(
  { engines, index, library, history, memoryGuard }: ComparisonParts,
  session: ComparisonSession,
  question: string,
  stream: vscode.ChatResponseStream,
  signal: AbortSignal,
): Promise<void> {
  if (question === '') {
    stream.markdown(vscode.l10n.t('Ask a question about the documents of this workspace.'));
    return;
  }
  stream.progress(vscode.l10n.t('Searching the documents'));
  // Which embedding file fits is known when the models have been looked at.
  if (library.models.length === 0) await library.refresh();
  const state = await index.ensureIndexed(signal);
  if (state.kind !== 'ready') {
    sayWhatIsMissing(state, stream);
    return;
  }
  const hits = await index.search(question, Math.max(1, session.state.inputs.passageCount), signal);
  for (const hit of hits) stream.reference(hitLocation(hit));
  await history.add(question);
  const request = answerRequest(session, question, hits);
  await memoryGuard.beforeLoading(request, library.models);
  stream.progress(
    request.tokenFile === null
      ? vscode.l10n.t('Answering with {0}', request.model)
      : vscode.l10n.t('Answering with {0} and {1} virtual tokens', request.model, session.state.inputs.k),
  );
  let begun = false;
  await engines.inference.request('compare', request, {
    signal,
    onProgress: (events) => {
      for (const event of events) {
        if (event.type !== 'token') continue;
        const text = begun ? event.token.text : event.token.text.trimStart();
        begun ||= text !== '';
        // Plain text: a document cannot put links or commands into the chat through the answer.
        if (text !== '') stream.markdown(escapeMarkdown(text));
      }
    },
  });
  if (hits.length > 0) stream.markdown('\n\n');
  for (const [place, hit] of hits.entries()) {
    stream.markdown(`[${String(place + 1)}] `);
    stream.anchor(hitLocation(hit), `${hit.path ?? ''}:${String(hit.startLine ?? 1)}`);
    stream.markdown('  \n');
  }
  stream.button({
    command: 'springRag.compareQuestion',
    title: vscode.l10n.t('Compare Side by Side'),
    arguments: [question],
  });
}

function sayWhatIsMissing(state: IndexState, stream: vscode.ChatResponseStream): void {
  if (state.kind === 'no-folder') {
    stream.markdown(vscode.l10n.t('No folder is open, so there are no documents to search.'));
    stream.button({ command: 'vscode.openFolder', title: vscode.l10n.t('Open Folder') });
    return;
  }
  stream.markdown(
    state.kind === 'failed'
      ? escapeMarkdown(state.message)
      : vscode.l10n.t('The documents of this workspace are not indexed yet.'),
  );
  stream.button({ command: 'springRag.indexWorkspace', title: vscode.l10n.t('Index Workspace') });
}

/** One answer: with the embedding file if one fits, else from the passages alone. */
function answerRequest(
  session: ComparisonSession,
  question: string,
  passages: SearchHit[],
): ComparisonRequest {
  const { model, device, precision, tokenFile, k, settings } = session.state.inputs;
  if (model === null) throw new UserError('No model is selected: run "SPRING: Select Model".');
  return {
    ...{ question, passages, model, device, precision, tokenFile, settings },
    variants: [tokenFile === null ? 'baseline' : `spring:${k}`],
  };
}
