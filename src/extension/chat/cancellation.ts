/** VS Code's cancellation tokens as the AbortSignals that everything below the extension takes. */
import type { CancellationToken } from 'vscode';

/** VS Code's way to cancel as everybody's. */
export function abortSignalOf(token: CancellationToken): AbortSignal {
  const abort = new AbortController();
  if (token.isCancellationRequested) abort.abort();
  token.onCancellationRequested(() => abort.abort());
  return abort.signal;
}
