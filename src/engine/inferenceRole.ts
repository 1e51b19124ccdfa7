/** The process that runs models: one comparison at a time, streamed. */
import type { LoadedModel } from '../protocol/comparison.ts';
import type { Handlers } from './channel.ts';
import { ComparisonEngine } from './comparison.ts';
import { reportInBatches } from './eventBatches.ts';
import { Turns } from './turns.ts';

/** Tokens wait this long for company before they are sent. */
const batchMs = 15;

export interface InferenceOptions {
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

  return {
    compare: (request, { signal, report }) =>
      turns.take(signal, async () => {
        onLoading = (message) => report([{ type: 'loading', message }]);
        const events = engine.compare(request, { signal });
        await reportInBatches(events, report, batchMs, ({ type }) => type !== 'token');
        return null;
      }),
    load: (selection, { signal, report }) =>
      turns.take(signal, async () => {
        onLoading = (message) => report([{ type: 'loading', message }]);
        onLoading(`Loading ${selection.model}`);
        await engine.load(selection, signal);
        return engine.model!;
      }),
    missingAdapters: (request, { signal }) =>
      turns.take(signal, async () => {
        return { passages: await engine.missingAdapters(request, signal) };
      }),
    unload: (_, { signal }) =>
      turns.take(signal, async () => {
        await engine.unload();
        return null;
      }),
  };
}
