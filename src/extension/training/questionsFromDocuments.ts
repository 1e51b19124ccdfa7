/** Training data from the workspace's own documents: the local model asks about passages, the user reviews. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as vscode from 'vscode';
import type { MadeQuestions } from '../../protocol/engine.ts';
import { CancelledError, UserError } from '../../protocol/errors.ts';
import type { Passage } from '../../protocol/passages.ts';
import { pragOptions } from '../prag/pragOptions.ts';
import type { TrainingParts } from './parts.ts';
import { withProgress } from '../show.ts';

/** Passages beside the one that was asked about, as retrieval would give them. */
const passagesPerExample = 5;

/**
 * Asks the model about passages of the index and opens the examples in an editor.
 * @returns the file; null if the user cancelled before there was anything
 */
export async function makeQuestions(
  { engines, index, library, memoryGuard }: TrainingParts,
  root: string,
  selection: { model: string; passages: number },
): Promise<vscode.Uri | null> {
  const state = await index.ensureIndexed(new AbortController().signal);
  if (state.kind !== 'ready') {
    throw new UserError(vscode.l10n.t('The documents of this workspace are not indexed: index them first.'));
  }
  const passages = await engines.index.request('samplePassages', { count: selection.passages });
  if (passages.length === 0) throw new UserError(vscode.l10n.t('The index of this workspace is empty.'));
  const { model } = selection;
  const request = { model, device: 'auto', precision: 'auto', passages, prag: pragOptions() } as const;
  await memoryGuard.beforeLoading(request, library.models);
  const lines: string[] = [];
  await withProgress(
    {
      location: vscode.ProgressLocation.Notification,
      title: vscode.l10n.t('Asking about the documents'),
      cancellable: true,
    },
    async (progress, token) => {
      const abort = new AbortController();
      token.onCancellationRequested(() => abort.abort());
      // Retrieval for each question follows its making, one after the other.
      let retrieved = Promise.resolve();
      const onProgress = (made: MadeQuestions): void => {
        const message = vscode.l10n.t('passage {0} of {1}', made.index + 1, made.total);
        progress.report({ message, increment: 100 / made.total });
        retrieved = retrieved.then(async () => {
          for (const { question, answer } of made.questions) {
            const hits = await engines.index.request('search', {
              query: question,
              count: passagesPerExample,
            });
            lines.push(exampleLine(question, answer, made.passage, hits));
          }
        });
      };
      try {
        await engines.training.request('makeQuestions', request, { signal: abort.signal, onProgress });
      } catch (error) {
        // What was made so far can be reviewed all the same.
        if (!(error instanceof CancelledError)) throw error;
      }
      await retrieved;
    },
  );
  if (lines.length === 0) return null;
  await mkdir(root, { recursive: true });
  const name = `questions-${new Date().toISOString().slice(0, 19).replaceAll(/[:T]/g, '-')}.jsonl`;
  await writeFile(join(root, name), `${lines.join('\n')}\n`);
  return vscode.Uri.file(join(root, name));
}

/** One line of training data: the passage that was asked about is among those that retrieval finds. */
export function exampleLine(
  question: string,
  answer: string,
  asked: Passage,
  found: readonly Passage[],
): string {
  const texts = found.map(({ text }) => text);
  const passages = texts.includes(asked.text)
    ? texts
    : [asked.text, ...texts.slice(0, passagesPerExample - 1)];
  return JSON.stringify({ question, target: [answer], ret_passages: passages });
}
