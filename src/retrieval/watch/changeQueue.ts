/** Turns a storm of change events into few updates. */

export interface ChangeQueueOptions {
  /** An update starts when there was no change for this long, in milliseconds. */
  quiet: number;
  /** But not later than this after the first change. */
  atMost: number;
  /** From this many changed files on, everything is looked at instead: a branch switch, an unpacked archive. */
  many: number;
  /** Updates these files (absolute paths), or everything if undefined. Never called while a call is going on. */
  update: (files: readonly string[] | undefined) => Promise<void>;
}

export class ChangeQueue {
  readonly #options: ChangeQueueOptions;
  #changed = new Set<string>();
  #all = false;
  #firstChange = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(options: ChangeQueueOptions) {
    this.#options = options;
  }

  /** Notes that a file was made, changed or removed. */
  add(file: string): void {
    if (this.#closed) return;
    if (this.#changed.size === 0 && !this.#all) this.#firstChange = Date.now();
    if (!this.#all) this.#changed.add(file);
    if (this.#changed.size > this.#options.many) {
      this.#all = true;
      this.#changed.clear();
    }
    if (!this.#running) this.#schedule();
  }

  /** Takes no more changes; resolves when the update that is going on has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const { quiet, atMost } = this.#options;
    const wait = Math.min(quiet, this.#firstChange + atMost - Date.now());
    this.#timer = setTimeout(() => this.#start(), Math.max(0, wait));
  }

  #start(): void {
    const files = this.#all ? undefined : [...this.#changed];
    this.#all = false;
    this.#changed = new Set();
    this.#running = this.#options.update(files).finally(() => {
      this.#running = undefined;
      if (!this.#closed && (this.#all || this.#changed.size > 0)) this.#schedule();
    });
  }
}
