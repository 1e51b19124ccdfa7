/** The chat participant `@spring`: retrieves, answers with the local model, cites the files. */
import * as vscode from 'vscode';
import { panelIcon } from '../icons.ts';
import type { ComparisonRequest } from '../../protocol/comparison.ts';
import { CancelledError, messageOf, UserError } from '../../protocol/errors.ts';
import type { SearchHit } from '../../protocol/engine.ts';
import type { ComparisonParts } from '../panel/comparison.ts';
import type { ComparisonSession } from '../panel/comparisonSession.ts';
import { abortSignalOf } from './cancellation.ts';

export function registerParticipant(
  { context, engines, index, history, log }: ComparisonParts,
  session: ComparisonSession,
): vscode.Disposable {
  const participant = vscode.chat.createChatParticipant(
    'springRag.chat',
    async (request, _, stream, token) => {
      const question = request.prompt.trim();
      if (question === '') {
        stream.markdown(vscode.l10n.t('Ask a question about the documents of this workspace.'));
        return {};
      }
      const signal = abortSignalOf(token);
      try {
        stream.progress(vscode.l10n.t('Searching the documents'));
        const state = await index.ensureIndexed(signal);
        if (state.kind !== 'ready') {
          stream.markdown(vscode.l10n.t('The documents of this workspace are not indexed yet.'));
          stream.button({ command: 'springRag.indexWorkspace', title: vscode.l10n.t('Index Workspace') });
          return {};
        }
        const hits = await index.search(question, Math.max(1, session.state.inputs.passageCount), signal);
        for (const hit of hits) stream.reference(locationOf(hit));
        await history.add(question);
        stream.progress(vscode.l10n.t('Answering with the local model'));
        await engines.inference.request('compare', answerRequest(session, question, hits), {
          signal,
          onProgress: (events) => {
            for (const event of events) {
              // Plain text: a document cannot put links or commands into the chat through the answer.
              if (event.type === 'token') stream.markdown(plainText(event.token.text));
            }
          },
        });
        if (hits.length > 0) stream.markdown('\n\n');
        for (const [place, hit] of hits.entries()) {
          stream.markdown(`[${String(place + 1)}] `);
          stream.anchor(locationOf(hit), `${hit.path ?? ''}:${String(hit.startLine ?? 1)}`);
          stream.markdown('  \n');
        }
        stream.button({
          command: 'springRag.compareQuestion',
          title: vscode.l10n.t('Compare Side by Side'),
          arguments: [question],
        });
      } catch (error) {
        if (error instanceof CancelledError) return {};
        if (!(error instanceof UserError)) log.error(error instanceof Error ? error : messageOf(error));
        return { errorDetails: { message: messageOf(error) } };
      }
      return {};
    },
  );
  participant.iconPath = panelIcon(context.extensionUri);
  return vscode.Disposable.from(participant);
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

function locationOf({ folder, path, startLine = 1, endLine = startLine }: SearchHit): vscode.Location {
  const uri = vscode.Uri.joinPath(vscode.Uri.file(folder), path ?? '');
  return new vscode.Location(uri, new vscode.Range(startLine - 1, 0, Math.max(startLine, endLine) - 1, 0));
}

function plainText(text: string): vscode.MarkdownString {
  return new vscode.MarkdownString().appendText(text);
}
