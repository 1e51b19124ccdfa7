import { visible } from './visible.ts';

/**
 * An error the user can act on: a broken file, wrong input, something missing on this machine.
 * Its message says what was found, what was expected and what to do. The command line prints it alone
 * (exit code 1); the extension shows it. Anything else that is thrown is a bug of ours.
 */
export class UserError extends Error {
  override readonly name: string = 'UserError';

  /** @param message may hold texts of files: they are made safe to print */
  constructor(message: string, options?: ErrorOptions) {
    super(visible(message), options);
  }
}

/** Thrown by long work when its AbortSignal fires. */
export class CancelledError extends Error {
  override readonly name: string = 'CancelledError';
  constructor(message = 'Cancelled.') {
    super(message);
  }
}

/** Throws CancelledError if the signal has fired. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CancelledError();
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
