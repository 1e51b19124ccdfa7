/** Work that must not overlap. */
import { CancelledError } from '../protocol/errors.ts';

/** Lets work happen one after the other; a cancelled wait ends when its turn comes. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** @throws CancelledError if the signal has fired before the work began */
  async take<Result>(signal: AbortSignal | undefined, work: () => Promise<Result>): Promise<Result> {
    const previous = this.#last;
    const turn = previous.then(() => {
      if (signal?.aborted) throw new CancelledError();
      return work();
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
