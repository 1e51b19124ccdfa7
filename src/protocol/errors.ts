/**
 * The errors that all rooms throw and every border carries across: what users can act on, and cancelling; messages
 * of the rest.
 */
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

/**
 * Why something failed, for people: JavaScript's own errors say what a program did, not what is wrong with a file. Keep the
 * error itself as the cause.
 */
export function reasonOf(error: unknown): string {
  const message = messageOf(error);
  if (error instanceof RangeError && /call stack/.test(message)) return 'it is nested too deeply';
  if (error instanceof RangeError && /Invalid \w+ (length|count)/.test(message))
    return 'it becomes too large';
  if (error instanceof SyntaxError && /regular expression/i.test(message)) {
    return `it holds a regular expression that cannot be used (${message})`;
  }
  if (error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError) {
    return 'it does not have the form that is expected';
  }
  return message;
}
