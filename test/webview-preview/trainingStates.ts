/** States of the training panel, as the extension host would send them. */
import type { TrainingStep, TrainingValidation } from '../../src/protocol/training.ts';
import type { TrainingPanelState } from '../../src/protocol/trainingPanel.ts';

/** A loss that falls and scatters, the same every time. */
export function stepAt(step: number): TrainingStep {
  const scatter = 0.5 * Math.sin(step * 12.9898) * Math.cos(step * 4.1414);
  return {
    type: 'step',
    step,
    epoch: 1 + Math.floor(step / 120),
    loss: 0.6 + 3.2 * Math.exp(-step / 90) + scatter * Math.exp(-step / 300),
    k: 1 + ((step * 7) % 50),
    learningRate: 1e-4 * Math.min(step / 50, (500 - step) / 450),
    gradientNorm: 0.8,
    cachedExamples: 8,
    seconds: 0.42,
  };
}

export function validationAt(step: number): TrainingValidation {
  const share = 1 - Math.exp(-step / 110);
  return {
    type: 'validation',
    step,
    loss: 0.75 + 3 * Math.exp(-step / 95),
    exactMatch: [1, 10, 50].map((k, place) => ({ k, exactMatch: share * (0.35 + 0.2 * place) })),
    isBest: step !== 200,
  };
}

const range = (from: number, to: number, by = 1): number[] =>
  Array.from({ length: Math.floor((to - from) / by) + 1 }, (_, place) => from + by * place);

export const trainingState: TrainingPanelState = {
  version: 1,
  status: { kind: 'running' },
  model: 'demo',
  data: 'qa-train.jsonl',
  path: 'tokens/spring-50.pt',
  settings: {
    numTokens: 50,
    fixedK: null,
    batchSize: 8,
    steps: 500,
    learningRate: 1e-4,
    weightDecay: 0,
    warmupRatio: 0.1,
    schedule: 'linear',
    maxGradientNorm: null,
    seed: 0,
    passages: 'sample',
    maxLength: 1024,
    microBatchPositions: 512,
    passageCacheBytes: 1024 ** 3,
    differentiate: 'tail',
    validateEvery: 50,
    patience: null,
    exactMatchK: [1, 10, 50],
    saveEvery: 25,
  },
  step: 275,
  steps: range(1, 275).map(stepAt),
  validations: range(0, 250, 50).map(validationAt),
};

export const pausedTraining: TrainingPanelState = { ...trainingState, status: { kind: 'paused' } };
