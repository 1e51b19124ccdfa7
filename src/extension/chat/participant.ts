/** The chat participant `@spring`: retrieves, answers with the local model, cites the files. */
import * as vscode from 'vscode';
import { panelIcon } from '../icons.ts';
import type { ComparisonRequest } from '../../protocol/comparison.ts';
import { CancelledError, messageOf, UserError } from '../../protocol/errors.ts';
import { formatVariant, referenceMethod, rowsMethod } from '../../protocol/methods.ts';
import type { Passage } from '../../protocol/passages.ts';
import { passageOf } from '../../retrieval/passageText.ts';
import type { IndexState } from '../../protocol/panel.ts';
import type { ComparisonParts } from '../panel/comparison.ts';
import type { ComparisonSession } from '../panel/comparisonSession.ts';
import { escapeMarkdown } from '../harmless.ts';
import { abortSignalOf } from './cancellation.ts';
import { Reply } from './reply.ts';

export function registerParticipant(parts: ComparisonParts, session: ComparisonSession): vscode.Disposable {
  const participant = vscode.chat.createChatParticipant(
    'springRag.chat',
    async (request, _, stream, token) => {
      try {
        await answer(parts, session, request.prompt.trim(), new Reply(stream), abortSignalOf(token));
        return {};
      } catch (error) {
        if (error instanceof CancelledError) return {};
        if (!(error instanceof UserError)) parts.log.error(error instanceof Error ? error : messageOf(error));
        return { errorDetails: { message: escapeMarkdown(messageOf(error)) } };
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
  reply: Reply,
  signal: AbortSignal,
): Promise<void> {
  if (question === '') {
    reply.text(vscode.l10n.t('Ask a question about the documents of this workspace.'));
    return;
  }
  reply.progress(vscode.l10n.t('Searching the documents'));
  // Which embedding file fits is known when the models have been looked at.
  await library.known();
  const state = await index.ensureIndexed(signal);
  if (state.kind !== 'ready') {
    sayWhatIsMissing(state, reply);
    return;
  }
  const hits = await index.search(question, Math.max(1, session.state.inputs.passageCount), signal);
  for (const hit of hits) reply.reference(hit);
  await history.add(question);
  const request = answerRequest(session, question, hits.map(passageOf));
  await memoryGuard.beforeLoading(request, library.models);
  reply.progress(
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
        if (text !== '') reply.text(text);
      }
    },
  });
  reply.sources(hits);
  reply.button('springRag.compareQuestion', vscode.l10n.t('Compare Side by Side'), question);
}

function sayWhatIsMissing(state: IndexState, reply: Reply): void {
  if (state.kind === 'no-folder') {
    reply.text(vscode.l10n.t('No folder is open, so there are no documents to search.'));
    reply.button('vscode.openFolder', vscode.l10n.t('Open Folder'));
    return;
  }
  reply.text(
    state.kind === 'failed'
      ? state.message
      : vscode.l10n.t('The documents of this workspace are not indexed yet.'),
  );
  reply.button('springRag.indexWorkspace', vscode.l10n.t('Index Workspace'));
}

/** One answer: with the embedding file if one fits, else from the passages alone. */
function answerRequest(session: ComparisonSession, question: string, passages: Passage[]): ComparisonRequest {
  const { model, device, precision, tokenFile, k, settings } = session.state.inputs;
  if (model === null) throw new UserError('No model is selected: run "SPRING: Select Model".');
  return {
    ...{ question, passages, model, device, precision, tokenFile, settings },
    variants: [formatVariant(tokenFile === null ? { method: referenceMethod } : { method: rowsMethod, k })],
  };
}
