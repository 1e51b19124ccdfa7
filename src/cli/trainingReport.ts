/** What `spring train` tells people and programs. */
import { readVirtualTokens } from '../checkpoint/virtualTokens.ts';
import type { TrainingEvent, TrainingSettings } from '../protocol/training.ts';

/** One line for people; nothing for saved states. */
export function describeEvent(event: TrainingEvent, { steps }: TrainingSettings): string | undefined {
  switch (event.type) {
    case 'start':
      return (
        `${event.resumed ? `Going on after step ${event.step}` : 'Training'}: ${steps} steps, ` +
        `${event.examples} examples, ${event.validationExamples} for validation`
      );
    case 'step':
      return (
        `step ${event.step}/${steps}  loss ${event.loss.toFixed(4)}  k ${event.k}  ` +
        `learning rate ${event.learningRate.toExponential(2)}  ${event.seconds.toFixed(2)} s`
      );
    case 'validation': {
      const matches = event.exactMatch.map(
        ({ k, exactMatch: share }) => `k=${k} ${(100 * share).toFixed(1)} %`,
      );
      const exact = matches.length > 0 ? `  exact match ${matches.join(', ')}` : '';
      return `validation after step ${event.step}  loss ${event.loss.toFixed(4)}${event.isBest ? ' (best)' : ''}${exact}`;
    }
    case 'saved':
      return undefined;
    case 'done':
      return `Wrote ${event.path} (rows of step ${event.writtenStep}; ${event.reason}).`;
  }
}

/** What --json prints. */
export async function summarise(
  events: readonly TrainingEvent[],
  options: { model: string; data: string; out: string },
  seconds: number,
): Promise<Record<string, unknown>> {
  const done = events.find((event) => event.type === 'done')!;
  const { count: rows, hiddenSize, sha256 } = await readVirtualTokens(options.out);
  return {
    model: options.model,
    data: options.data,
    out: options.out,
    shape: [rows, hiddenSize],
    sha256,
    steps: done.step,
    writtenStep: done.writtenStep,
    reason: done.reason,
    losses: events.filter((event) => event.type === 'step').map(({ loss }) => loss),
    validations: events
      .filter((event) => event.type === 'validation')
      .map((event) => ({ ...event, type: undefined })),
    seconds,
  };
}
