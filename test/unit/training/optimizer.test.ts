import assert from 'node:assert/strict';
import type { TrainingSettings } from '../../../src/protocol/training.ts';
import { AdamW, clipGradients } from '../../../src/decoder/adamW.ts';
import { learningRateAt } from '../../../src/spring/training/schedule.ts';
import { checkSettings, defaultTrainingSettings } from '../../../src/spring/training/settings.ts';

describe('AdamW', () => {
  it('follows the published update, with decay apart from the moments', () => {
    const optimizer = new AdamW({ weightDecay: 0.1 });
    const parameter = Float32Array.of(1, -2);
    const update = (gradient: Float32Array): void =>
      optimizer.update(new Map([['p', parameter]]), new Map([['p', gradient]]), 0.5);
    update(Float32Array.of(0.3, 0));
    // the first step is the learning rate along the sign; a gradient of zero leaves only the decay
    assert.ok(Math.abs(parameter[0]! - (1 * 0.95 - 0.5)) < 1e-6);
    assert.ok(Math.abs(parameter[1]! - -2 * 0.95) < 1e-6);
    update(Float32Array.of(-0.1, 0));
    const first = (0.9 * 0.1 * 0.3 + 0.1 * -0.1) / (1 - 0.9 ** 2);
    const second = (0.999 * 0.001 * 0.3 ** 2 + 0.001 * 0.1 ** 2) / (1 - 0.999 ** 2);
    const expected = 0.45 * 0.95 - (0.5 * first) / (Math.sqrt(second) + 1e-8);
    assert.ok(Math.abs(parameter[0]! - expected) < 1e-5);
  });

  it('wants a gradient for every parameter', () => {
    const parameters = new Map([['p', new Float32Array(2)]]);
    assert.throws(() => new AdamW().update(parameters, new Map(), 1), /No gradient of the size of p/);
  });

  it('clips only what is too long', () => {
    const gradients = [Float32Array.of(3), Float32Array.of(0, 4)];
    assert.equal(clipGradients(gradients, 10), 5);
    assert.deepEqual(gradients[1], Float32Array.of(0, 4));
    assert.equal(clipGradients(gradients, 1), 5);
    assert.ok(Math.abs(Math.hypot(gradients[0]![0]!, gradients[1][1]!) - 1) < 1e-5);
  });
});

describe('learning rate', () => {
  const settings = { steps: 10, learningRate: 2, warmupRatio: 0.2, schedule: 'linear' } as const;
  const rates = (changes: object): number[] =>
    Array.from({ length: 10 }, (_, step) => learningRateAt(step, { ...settings, ...changes }));

  it('rises from 0 and falls towards 0', () => {
    assert.deepEqual(rates({}), [0, 1, 2, 1.75, 1.5, 1.25, 1, 0.75, 0.5, 0.25]);
    assert.deepEqual(rates({ warmupRatio: 0 }).slice(0, 3), [2, 1.8, 1.6]);
  });

  it('stays constant after the warm-up', () => {
    assert.deepEqual(rates({ schedule: 'constant' }), [0, 1, 2, 2, 2, 2, 2, 2, 2, 2]);
    assert.deepEqual(rates({ schedule: 'constant', warmupRatio: 0 }), Array(10).fill(2));
  });
});

describe('training settings', () => {
  const settings = { ...defaultTrainingSettings, steps: 10, maxLength: 100 };
  for (const [changes, message] of [
    [{ steps: 0 }, /steps is 0/],
    [{ batchSize: 1.5 }, /batchSize is 1.5/],
    [{ learningRate: -1 }, /learningRate is -1/],
    [{ learningRate: NaN }, /learningRate is NaN/],
    [{ warmupRatio: 2 }, /warm-up takes 2/],
    [{ fixedK: 51 }, /k = 51 of 50/],
    [{ fixedK: 0 }, /k = 0 of 50/],
    [{ exactMatchK: [1, 60] }, /k = 60 of 50/],
    [{ maxGradientNorm: 0 }, /gradient norm is 0/],
    [{ maxLength: 101 }, /101 tokens exceed the model's context of 100/],
  ] as const) {
    it(`refuses ${JSON.stringify(changes)}`, () => {
      assert.throws(
        () => checkSettings({ ...settings, ...(changes as Partial<TrainingSettings>) }, 100),
        message,
      );
    });
  }

  it('accepts the defaults', () => checkSettings(settings, 100));
});
