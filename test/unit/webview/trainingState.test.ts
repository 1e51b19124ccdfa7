import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import {
  exactMatchCurves,
  lossCurves,
  receiveTraining,
  remainingSeconds,
} from '../../../webview/trainingState.ts';
import type { TrainingPanelState } from '../../../src/protocol/trainingPanel.ts';
import { stepAt, trainingState, validationAt } from '../../webview-preview/trainingStates.ts';

const early: TrainingPanelState = {
  ...trainingState,
  step: 3,
  steps: [1, 2, 3].map((step) => ({ ...stepAt(step), loss: 4 - step })),
  validations: [validationAt(0), validationAt(2)],
};

describe('webview: state of training', () => {
  it('appends what is reported, and drops what a resumed run does again', () => {
    let state = receiveTraining(early, { type: 'events', events: [stepAt(4), validationAt(4)] });
    assert.equal(state?.step, 4);
    assert.equal(state.steps.length, 4);
    const start = {
      type: 'start',
      step: 2,
      steps: 500,
      examples: 9,
      validationExamples: 3,
      resumed: true,
    } as const;
    state = receiveTraining(state, { type: 'events', events: [start, stepAt(3)] });
    assert.deepEqual(
      state?.steps.map(({ step }) => step),
      [1, 2, 3],
    );
    assert.deepEqual(
      state.validations.map(({ step }) => step),
      [0, 2],
    );
    assert.equal(state.status.kind, 'running');
  });

  it('ends with what was written', () => {
    const done = { type: 'done', step: 500, writtenStep: 450, reason: 'early stop', path: 'x.pt' } as const;
    const state = receiveTraining(early, { type: 'events', events: [done] });
    assert.deepEqual(state?.status, { kind: 'done', writtenStep: 450, reason: 'early stop' });
    assert.equal(receiveTraining(null, { type: 'events', events: [done] }), null);
  });

  it('lays all losses over the same steps, the mean without a bias to 0', () => {
    const { steps, curves } = lossCurves(early);
    assert.deepEqual(steps, [0, 1, 2, 3]);
    assert.deepEqual(curves[0]?.values, [null, 3, 2, 1]);
    const mean = curves[1]!.values;
    assert.equal(mean[1], 3);
    assert.ok(mean[3]! > 1.9 && mean[3]! < 2, `weighted mean of 3, 2 and 1: ${mean[3]}`);
    assert.deepEqual(
      curves[2]?.values.map((value) => value !== null),
      [true, false, true, false],
    );
  });

  it('has a curve of exact match for every k', () => {
    const validations = [validationAt(50), { ...validationAt(100), exactMatch: [{ k: 5, exactMatch: 0.5 }] }];
    const { curves } = exactMatchCurves({ ...early, validations });
    assert.deepEqual(
      curves.map(({ label }) => label),
      ['k=1', 'k=5', 'k=10', 'k=50'],
    );
    assert.deepEqual(curves[1]?.values, [null, 0.5]);
  });

  it('tells the time left by the median step', () => {
    assert.equal(remainingSeconds({ ...early, step: 490 }), 10 * 0.42);
    assert.equal(remainingSeconds({ ...early, steps: [] }), null);
  });
});
