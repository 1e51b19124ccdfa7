/** The panel's token budget: measured when something changes on which it depends, and for what is there now. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { BudgetWatch } from '../../../src/extension/panel/budget.ts';
import { emptyState, PanelStore } from '../../../src/extension/panel/panelStore.ts';
import type { FitRequest, PassageFit } from '../../../src/protocol/engine.ts';
import { passage } from '../../webview-preview/states.ts';
import { model } from './comparisonSession.test.ts';

const quiet = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 200));

describe('the token budget of the panel', () => {
  let store: PanelStore;
  let watch: BudgetWatch;
  let requests: FitRequest[];
  let fit: (request: FitRequest) => Promise<PassageFit>;

  beforeEach(() => {
    requests = [];
    fit = () => Promise.resolve({ tokens: 500, room: 462, leftOut: [1] });
    const state = emptyState();
    store = new PanelStore({
      ...state,
      models: [model('demo', 128)],
      inputs: { ...state.inputs, question: 'Which port?', model: 'demo', columns: [{ kind: 'baseline' }] },
    });
    watch = new BudgetWatch(store, (request) => {
      requests.push(request);
      return fit(request);
    });
  });
  afterEach(() => watch.dispose());

  const ticked = [
    passage('p1', { text: 'One.', path: 'a.md' }),
    passage('p2', { text: 'Two.', path: 'b.md', ticked: false }),
    passage('p3', { text: 'Three.', path: 'c.md' }),
  ];

  it('names the ticked passages that do not fit, once for many changes', async () => {
    store.patch({ passages: ticked });
    store.patch({ inputs: { ...store.state.inputs, k: 3 } });
    store.patch({ notices: [] });
    await quiet();
    assert.equal(requests.length, 1);
    assert.deepEqual(
      requests[0]!.passages.map(({ text }) => text),
      ['One.', 'Three.'],
    );
    assert.deepEqual(store.state.budget, { tokens: 500, room: 462, leftOut: ['p3'] });
    store.patch({ notices: [] });
    await quiet();
    assert.equal(requests.length, 1, 'what the lengths do not depend on is not measured');
  });

  it('is unknown without ticks, and when the engine cannot say', async () => {
    store.patch({ passages: ticked });
    await quiet();
    fit = () => Promise.reject(new Error('no tokenizer'));
    store.patch({ inputs: { ...store.state.inputs, question: 'Other?' } });
    await quiet();
    assert.equal(store.state.budget, null);
    store.patch({ passages: ticked.map((item) => ({ ...item, ticked: false })) });
    await quiet();
    assert.equal(requests.length, 2);
  });

  it('an answer that comes late is not taken for that of newer inputs', async () => {
    const slow = Promise.withResolvers<PassageFit>();
    fit = () => slow.promise;
    store.patch({ passages: ticked });
    await quiet();
    fit = () => Promise.resolve({ tokens: 10, room: 462, leftOut: [] });
    store.patch({ passages: ticked.slice(0, 1) });
    await quiet();
    slow.resolve({ tokens: 999, room: 462, leftOut: [0] });
    await quiet();
    assert.deepEqual(store.state.budget, { tokens: 10, room: 462, leftOut: [] });
  });

  it('names none where the prompt is cut at its start', async () => {
    const { inputs } = store.state;
    store.patch({
      passages: ticked,
      inputs: { ...inputs, settings: { ...inputs.settings, longPrompt: 'cut-left' } },
    });
    await quiet();
    assert.deepEqual(store.state.budget, { tokens: 500, room: 462, leftOut: [] });
  });
});
