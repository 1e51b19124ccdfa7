/** The right to update an index, held by at most one update of all processes. */
import { setTimeout as delay } from 'node:timers/promises';
import { tryLock } from '../../hub/lock.ts';
import { CancelledError, throwIfCancelled } from '../../protocol/errors.ts';

/** Milliseconds between two attempts while another process indexes. */
const retryAfter = 200;

/**
 * Waits until nobody else updates the index; yields once, before waiting, if somebody does.
 * @returns a function that gives the right back
 * @throws CancelledError
 */
export async function* waitForWriting(
  indexFile: string,
  signal?: AbortSignal,
): AsyncGenerator<'waiting', () => Promise<void>> {
  for (let attempt = 0; ; attempt++) {
    throwIfCancelled(signal);
    const release = await tryLock(`${indexFile}.lock`);
    if (release) return release;
    if (attempt === 0) yield 'waiting';
    await delay(retryAfter, undefined, { signal }).catch(() => {
      throw new CancelledError();
    });
  }
}
