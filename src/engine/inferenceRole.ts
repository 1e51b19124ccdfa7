/** The process that runs models: one comparison at a time, streamed; the model leaves the memory when idle. */
import type { LoadedModel } from '../protocol/comparison.ts';
import type { Handlers } from './channel.ts';
import { ComparisonEngine } from './comparison.ts';
import { reportInBatches } from './eventBatches.ts';
import { Turns } from './turns.ts';

/** Tokens wait this long for company before they are sent. */
const batchMs = 15;

export interface InferenceOptions {
  /** The model is unloaded when it has not been used for this long; 0: never. */
  idleUnloadMs: number;
  /** Called when the model was unloaded because it was idle. */
  onIdleUnload: (model: LoadedModel) => void;
  /** Called when the model left a device that failed. */
  onModelChanged: (model: LoadedModel, message: string) => void;
}

/** The handlers of the role `inference`. */
export function inferenceRole(options: InferenceOptions): Handlers<'inference'> {
  let onLoading: ((message: string) => void) | undefined;
  const engine = new ComparisonEngine({
    onLoading: (message) => onLoading?.(message),
    onModelChanged: options.onModelChanged,
  });
  const turns = new Turns();
  const idle = new IdleTimer(options.idleUnloadMs, () =>
    turns.take(undefined, async () => {
      const { model } = engine;
      if (!model) return;
      await engine.unload();
      options.onIdleUnload(model);
    }),
  );

  return {
    compare: (request, { signal, report }) =>
      turns.take(signal, async () => {
        idle.stop();
        onLoading = (message) => report([{ type: 'loading', message }]);
        try {
          const events = engine.compare(request, { signal });
          await reportInBatches(events, report, batchMs, ({ type }) => type !== 'token');
        } finally {
          idle.start();
        }
        return null;
      }),
    load: (selection, { signal, report }) =>
      turns.take(signal, async () => {
        idle.stop();
        try {
          onLoading = (message) => report([{ type: 'loading', message }]);
          onLoading(`Loading ${selection.model}`);
          await engine.load(selection, signal);
        } finally {
          idle.start();
        }
        return engine.model!;
      }),
    missingAdapters: (request, { signal }) =>
      turns.take(signal, async () => {
        idle.stop();
        try {
          return { passages: await engine.missingAdapters(request, signal) };
        } finally {
          idle.start();
        }
      }),
    unload: (_, { signal }) =>
      turns.take(signal, async () => {
        idle.stop();
        await engine.unload();
        return null;
      }),
  };
}

class IdleTimer {
  readonly #milliseconds: number;
  readonly #onIdle: () => Promise<void>;
  #timer: NodeJS.Timeout | undefined;

  constructor(milliseconds: number, onIdle: () => Promise<void>) {
    this.#milliseconds = milliseconds;
    this.#onIdle = onIdle;
  }

  start(): void {
    this.stop();
    if (this.#milliseconds > 0) this.#timer = setTimeout(() => void this.#onIdle(), this.#milliseconds);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
