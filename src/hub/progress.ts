import type { DownloadEvent } from './types.ts';

const windowMs = 5000;
const intervalMs = 200;

/** Turns byte counts into progress events: at most five a second, with the rate over the last five seconds. */
export class ProgressMeter {
  readonly #totalBytes: number;
  readonly #now: () => number;
  #received = 0;
  #samples: { time: number; received: number }[];
  #lastEvent = -Infinity;

  /** @param now a clock in milliseconds */
  constructor(totalBytes: number, now: () => number = () => performance.now()) {
    this.#totalBytes = totalBytes;
    this.#now = now;
    this.#samples = [{ time: now(), received: 0 }];
  }

  /**
   * Counts bytes; gives an event when it is time for one.
   *
   * @param doneBytes of the whole download, what lay in the cache before included
   * @param received bytes that came over the network since the last call
   */
  count(
    phase: 'download' | 'verify',
    file: string,
    doneBytes: number,
    received: number,
  ): (DownloadEvent & { type: 'progress' }) | undefined {
    this.#received += received;
    const now = this.#now();
    if (now - this.#lastEvent < intervalMs && doneBytes < this.#totalBytes) return undefined;
    this.#lastEvent = now;
    this.#samples.push({ time: now, received: this.#received });
    this.#samples = this.#samples.filter(
      ({ time }, index) => now - time <= windowMs || index >= this.#samples.length - 2,
    );
    const [oldest] = this.#samples;
    const seconds = oldest === undefined ? 0 : (now - oldest.time) / 1000;
    const bytesPerSecond = seconds > 0 ? (this.#received - (oldest?.received ?? 0)) / seconds : 0;
    const left = this.#totalBytes - doneBytes;
    return {
      type: 'progress',
      phase,
      file,
      doneBytes,
      totalBytes: this.#totalBytes,
      bytesPerSecond,
      secondsLeft: left === 0 ? 0 : bytesPerSecond > 0 ? left / bytesPerSecond : null,
    };
  }
}
