/** Training virtual tokens: the settings of a run and what it reports while it goes. Everything here is plain JSON. */
import * as v from 'valibot';
import { count, finite, listOf, shortText, size } from './schema.ts';

export interface TrainingSettings {
  /** N: rows that are trained. */
  numTokens: number;
  /** Train with this many of them in every step; null draws 1..N for each step, as the authors do. */
  fixedK: number | null;
  /** Examples per optimizer step. */
  batchSize: number;
  /** Optimizer steps. */
  steps: number;
  learningRate: number;
  weightDecay: number;
  /** Share of the steps in which the learning rate rises from 0. */
  warmupRatio: number;
  /** After the warm-up: down to 0 on a line, or unchanged. */
  schedule: 'linear' | 'constant';
  /** Gradients are scaled down to this norm; null leaves them as they are. */
  maxGradientNorm: number | null;
  seed: number;
  /**
   * What an example's passages are. `sample`: shuffled, and the first 1..5 of them, drawn once per example, so that
   * their keys and values can be kept; `resample`: drawn anew in every epoch; `all`: as the file lists them.
   */
  passages: 'sample' | 'resample' | 'all';
  /** Positions of a whole sequence at most; longer passages lose their beginning. */
  maxLength: number;
  /** Positions that go through the model at once, more than one example's included. */
  microBatchPositions: number;
  /** Bytes of keys and values of passages that are kept between epochs. */
  passageCacheBytes: number;
  /** What is differentiated: what follows the passages (same result), or everything, as the authors do. */
  differentiate: 'tail' | 'all';
  /** Validate after this many steps. */
  validateEvery: number;
  /** End after this many validations without a lower loss; null never does. */
  patience: number | null;
  /** Also measure exact match of greedy answers for these k when validating. */
  exactMatchK: number[];
  /** Save the state after this many steps (and whenever the run is interrupted). */
  saveEvery: number;
}

export interface ExactMatchAtK {
  k: number;
  /** Between 0 and 1. */
  exactMatch: number;
}

export interface TrainingStep {
  type: 'step';
  /** Steps done, this one included. */
  step: number;
  epoch: number;
  /** Mean over the labelled tokens of the step, natural logarithm. */
  loss: number;
  /** Virtual tokens used in this step. */
  k: number;
  learningRate: number;
  gradientNorm: number;
  /** Examples whose passages needed no prefill. */
  cachedExamples: number;
  seconds: number;
}

export interface TrainingValidation {
  type: 'validation';
  step: number;
  /** Mean over the labelled tokens, all N tokens (or the fixed k) in use. */
  loss: number;
  exactMatch: ExactMatchAtK[];
  /** Whether this is the lowest validation loss so far: these rows are the ones that are kept. */
  isBest: boolean;
}

export type TrainingEvent =
  | {
      type: 'start';
      step: number;
      steps: number;
      examples: number;
      validationExamples: number;
      resumed: boolean;
    }
  | TrainingStep
  | TrainingValidation
  | { type: 'saved'; step: number; path: string }
  | {
      type: 'done';
      step: number;
      /** The step whose rows were written: the best by validation loss, else the last. */
      writtenStep: number;
      reason: 'finished' | 'early stop';
      path: string;
    };

/** As files of runs hold them. */
export const settingsSchema: v.GenericSchema<unknown, TrainingSettings> = v.object({
  numTokens: count,
  fixedK: v.nullable(count),
  batchSize: count,
  steps: count,
  learningRate: size,
  weightDecay: size,
  warmupRatio: size,
  schedule: v.picklist(['linear', 'constant']),
  maxGradientNorm: v.nullable(size),
  seed: count,
  passages: v.picklist(['sample', 'resample', 'all']),
  maxLength: count,
  microBatchPositions: count,
  passageCacheBytes: size,
  differentiate: v.picklist(['tail', 'all']),
  validateEvery: count,
  patience: v.nullable(count),
  exactMatchK: listOf(count, 1000),
  saveEvery: count,
});

/** As the log of a run holds them. A loss that is no number is null in JSON. */
const number = v.nullable(finite);
const eventSchema = v.variant('type', [
  v.object({
    type: v.literal('start'),
    ...{ step: count, steps: count, examples: count, validationExamples: count, resumed: v.boolean() },
  }),
  v.object({
    type: v.literal('step'),
    ...{ step: count, epoch: count, loss: number, k: count, learningRate: size, gradientNorm: number },
    ...{ cachedExamples: count, seconds: size },
  }),
  v.object({
    type: v.literal('validation'),
    ...{ step: count, loss: number, isBest: v.boolean() },
    exactMatch: listOf(v.object({ k: count, exactMatch: size }), 1000),
  }),
  v.object({ type: v.literal('saved'), step: count, path: shortText }),
  v.object({
    type: v.literal('done'),
    ...{ step: count, writtenStep: count, reason: v.picklist(['finished', 'early stop']), path: shortText },
  }),
]);

/** The events of a log; a line that is none is left out: it was being written when a process ended. */
export function parseEvents(text: string): TrainingEvent[] {
  return text.split('\n').flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line);
      return v.is(eventSchema, value) ? [value as TrainingEvent] : [];
    } catch {
      return [];
    }
  });
}
