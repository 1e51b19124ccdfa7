/** A notification with Cancel while a large model is being loaded. */
import * as vscode from 'vscode';
import type { ComparisonSession } from './panel/comparisonSession.ts';
import { withProgress } from './show.ts';

/** Small models are there before a notification could be read. */
const patienceMs = 1500;

export function registerLoadingProgress(session: ComparisonSession): vscode.Disposable {
  let timer: NodeJS.Timeout | undefined;
  let ended: (() => void) | undefined;
  const listening = session.store.onDidChange(() => {
    const { run } = session.state;
    if (run.kind === 'loading') {
      timer ??= setTimeout(show, patienceMs);
      return;
    }
    clearTimeout(timer);
    timer = undefined;
    ended?.();
  });

  function show(): void {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    ended = () => resolve(undefined);
    const options = {
      location: vscode.ProgressLocation.Notification,
      title: vscode.l10n.t('SPRING: loading {0}', session.state.inputs.model ?? ''),
      cancellable: true,
    };
    void withProgress(options, (_, token) => {
      token.onCancellationRequested(() => session.cancel());
      return promise;
    });
  }

  return new vscode.Disposable(() => {
    listening.dispose();
    clearTimeout(timer);
    ended?.();
  });
}
