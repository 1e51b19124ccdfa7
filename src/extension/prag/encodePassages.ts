/** "Encode Ticked Passages as LoRA": a notification with progress and Cancel. */
import * as vscode from 'vscode';
import type { EncodeResult } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import { variantOf } from '../../protocol/panel.ts';
import type { ComparisonParts } from '../panel/comparison.ts';
import type { ComparisonSession } from '../panel/comparisonSession.ts';
import { NoModelError } from '../panel/failures.ts';
import { tickedPassages } from '../panel/passageList.ts';
import { neededAdapters, unencodable, unencodableKey } from './neededAdapters.ts';
import { pragOptions } from './pragOptions.ts';
import { showStatus, showWarning, withProgress } from '../show.ts';

/**
 * Encodes the ticked passages for the model of the comparison; a run that waited for them starts again.
 * @throws UserError if nothing is ticked; CancelledError
 */
export async function encodeTickedPassages(
  { engines, library, memoryGuard }: ComparisonParts,
  session: ComparisonSession,
): Promise<void> {
  const { inputs, passages: listed, run } = session.state;
  const { model, device, precision } = inputs;
  if (model === null) throw new NoModelError();
  const passages = tickedPassages(listed).map(({ text }) => text);
  if (passages.length === 0) {
    throw new UserError(vscode.l10n.t('No passage is ticked: ask a question and tick some first.'));
  }
  const columns = inputs.columns.map((choice) => variantOf(choice, inputs.k));
  const { placebo } = neededAdapters(columns, passages);
  const request = { model, device, precision, passages, placebo, prag: pragOptions() };
  // Training needs the weights in f32 on the processor.
  await memoryGuard.beforeLoading({ model, device: 'cpu', precision: 'f32' }, library.models);
  const result = await withProgress(
    {
      location: vscode.ProgressLocation.Notification,
      title: vscode.l10n.t('Encoding passages as LoRA'),
      cancellable: true,
    },
    (progress, token) => {
      const abort = new AbortController();
      token.onCancellationRequested(() => abort.abort());
      let done = 0;
      return engines.training.request('encodePassages', request, {
        signal: abort.signal,
        onProgress: ({ index, total, message }) => {
          progress.report({ message, increment: (100 * (index - done)) / total });
          done = index;
        },
      });
    },
  );
  for (const { passage } of result.failed) unencodable.add(unencodableKey(model, passage));
  tell(result);
  const waited = run.kind === 'failed' && run.actions.some(({ action }) => action === 'encode-passages');
  if (waited && session.state.run === run) await session.rerun();
}

function tell({ encoded, fromStore, failed }: EncodeResult): void {
  if (failed.length > 0) {
    const text = vscode.l10n.t(
      '{0} passages have no adapter: the model wrote no usable questions about them. A larger model or an endpoint can (setting springRag.prag.endpoint).',
      failed.length,
    );
    const settings = vscode.l10n.t('Open Settings');
    void showWarning(text, settings).then((chosen) => {
      if (chosen !== settings) return;
      void vscode.commands.executeCommand('workbench.action.openSettings', 'springRag.prag');
    });
  }
  const text = vscode.l10n.t('SPRING: adapters ready: {0}, made before: {1}', encoded, fromStore);
  showStatus(text, 5000);
}
