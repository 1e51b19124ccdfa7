/** Settings of training virtual tokens: their defaults, and checks before a run begins. */
import type { TrainingSettings } from '../../protocol/training.ts';
import { UserError } from '../../protocol/errors.ts';

/** The defaults; learning rate, warm-up and number of tokens are the paper's (methods A.6). */
export const defaultTrainingSettings: Omit<TrainingSettings, 'steps' | 'maxLength'> = {
  numTokens: 50,
  fixedK: null,
  batchSize: 8,
  learningRate: 1e-4,
  weightDecay: 0,
  warmupRatio: 0.1,
  schedule: 'linear',
  maxGradientNorm: null,
  seed: 0,
  passages: 'sample',
  microBatchPositions: 512,
  passageCacheBytes: 1024 ** 3,
  differentiate: 'tail',
  validateEvery: 50,
  patience: null,
  exactMatchK: [],
  saveEvery: 25,
};

/** @throws UserError for the first setting that makes no sense */
export function checkSettings(settings: TrainingSettings, contextLength: number): void {
  const { numTokens, fixedK, maxLength } = settings;
  const positive = [
    'numTokens',
    'batchSize',
    'steps',
    'microBatchPositions',
    'validateEvery',
    'saveEvery',
  ] as const;
  for (const name of positive) {
    if (!Number.isInteger(settings[name]) || settings[name] < 1) {
      throw new UserError(
        `The training setting ${name} is ${settings[name]}; expected a whole number from 1.`,
      );
    }
  }
  for (const name of ['learningRate', 'weightDecay', 'warmupRatio'] as const) {
    if (!Number.isFinite(settings[name]) || settings[name] < 0) {
      throw new UserError(`The training setting ${name} is ${settings[name]}; expected a number from 0.`);
    }
  }
  if (settings.warmupRatio > 1) {
    throw new UserError(`The warm-up takes ${settings.warmupRatio} of the steps; expected at most 1.`);
  }
  if (settings.maxGradientNorm !== null && !(settings.maxGradientNorm > 0)) {
    throw new UserError(`The largest gradient norm is ${settings.maxGradientNorm}; expected more than 0.`);
  }
  for (const k of [...(fixedK === null ? [] : [fixedK]), ...settings.exactMatchK]) {
    if (!Number.isInteger(k) || k < 0 || k > numTokens || (k === 0 && k === fixedK)) {
      throw new UserError(`k = ${k} of ${numTokens} virtual tokens is not possible.`);
    }
  }
  if (maxLength > contextLength) {
    throw new UserError(`Sequences of ${maxLength} tokens exceed the model's context of ${contextLength}.`);
  }
}
