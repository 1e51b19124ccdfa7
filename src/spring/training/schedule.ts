/** The learning rate's course over a training run. */
import type { TrainingSettings } from '../../protocol/training.ts';

/**
 * The learning rate of a step, counted from 0: a rise from 0 over the warm-up, then down to 0 on a line or constant
 * (transformers' `linear` and `constant_with_warmup`).
 */
export function learningRateAt(
  step: number,
  settings: Pick<TrainingSettings, 'steps' | 'learningRate' | 'warmupRatio' | 'schedule'>,
): number {
  const { steps, learningRate, warmupRatio, schedule } = settings;
  const warmup = Math.ceil(steps * warmupRatio);
  if (step < warmup) return (learningRate * step) / warmup;
  if (schedule === 'constant') return learningRate;
  return (learningRate * (steps - step)) / Math.max(1, steps - warmup);
}
