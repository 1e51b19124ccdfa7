import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import {
  addFailure,
  changeView,
  confirmEdit,
  edit,
  fromStored,
  highlight,
  initialModel,
  receive,
  sendEdit,
  tick,
  tickedIds,
  toStored,
  type PanelModel,
} from '../../../webview/state.ts';
import { referenceOf, shownColumns, textOf } from '../../../webview/shownColumns.ts';
import { choiceOf, variantOf, type ColumnChoice } from '../../../src/protocol/panel.ts';
import { columnKinds } from '../../../webview/columnKinds.ts';
import { happened } from '../../../webview/views/announcer.ts';
import { column, doneState, readyState, streamingState, tokensOf } from '../../webview-preview/states.ts';

const opened = (state = doneState): PanelModel => receive(initialModel, { type: 'state', state });

describe('webview: state of the panel', () => {
  it('takes the host’s state, replaces fields by patches and appends tokens', () => {
    let model = opened(streamingState);
    const before = model.panel!.columns;
    const added = tokensOf(' more text');
    model = receive(model, { type: 'tokens', tokens: [{ column: 1, tokens: added }] });
    assert.deepEqual(model.panel!.columns[1]!.tokens.slice(-added.length), added);
    assert.equal(model.panel!.columns[0], before[0], 'other columns keep their identity');
    assert.notEqual(model.panel!.columns[1], before[1]);
    model = receive(model, { type: 'patch', patch: { run: { kind: 'cancelled', stale: false } } });
    assert.equal(model.panel!.run.kind, 'cancelled');
    assert.equal(model.panel!.inputs, streamingState.inputs);
  });

  it('ignores tokens of a column that is gone, and patches before the first state', () => {
    const model = opened();
    const next = receive(model, { type: 'tokens', tokens: [{ column: 9, tokens: tokensOf('x') }] });
    assert.deepEqual(next.panel!.columns, model.panel!.columns);
    assert.equal(receive(initialModel, { type: 'patch', patch: { passages: [] } }), initialModel);
  });

  it('keeps what the user edits above what the host sends, until the host has confirmed it', () => {
    let model = edit(opened(), { question: 'new' });
    assert.deepEqual(model.panel!.run.kind === 'done' && model.panel!.run.stale, true);
    model = receive(model, { type: 'patch', patch: { inputs: { ...doneState.inputs, k: 3 } } });
    assert.equal(model.panel!.inputs.question, 'new', 'an older question does not overwrite the newer');
    assert.equal(model.panel!.inputs.k, 3);
    model = confirmEdit(sendEdit(model), { question: 'new' });
    assert.equal(model.panel!.inputs.question, 'new');
    model = receive(model, { type: 'patch', patch: { inputs: { ...doneState.inputs, question: 'other' } } });
    assert.equal(model.panel!.inputs.question, 'other');
  });

  it('takes answers for stale when inputs change, not when a column comes or goes', () => {
    const stale = (change: Parameters<typeof edit>[1]) => {
      const { run } = edit(opened(), change).panel!;
      return run.kind === 'done' && run.stale;
    };
    assert.equal(stale({ columns: [{ kind: 'baseline' }, { kind: 'spring', k: 3 }] }), false);
    assert.equal(stale({ k: 3 }), true);
    assert.equal(stale({ columns: [], k: 3 }), true);
  });

  it('draws the host’s correction of an edit, but not over what was typed since', () => {
    let model = sendEdit(edit(opened(), { k: 99 }));
    const corrected = { ...doneState.inputs, k: 50 };
    model = receive(model, { type: 'patch', patch: { inputs: corrected } });
    assert.equal(model.panel!.inputs.k, 99);
    assert.equal(confirmEdit(model, { k: 99 }).panel!.inputs.k, 50);
    const editedOn = confirmEdit(edit(model, { k: 7 }), { k: 99 });
    assert.equal(editedOn.panel!.inputs.k, 7);
    assert.deepEqual(editedOn.pending, { k: 7 });
  });

  it('ticks exactly the given passages', () => {
    const model = tick(opened(), ['p3']);
    assert.deepEqual(tickedIds(model.panel!.passages), ['p3']);
    const unchanged = tick(model, ['p3']);
    assert.equal(unchanged.panel!.passages[0], model.panel!.passages[0]);
  });

  it('unfolds the passage that an answer’s mark leads to, each click anew', () => {
    const span = { start: 1, end: 4 };
    const once = highlight(opened(), 'p2', span);
    const twice = highlight(once, 'p2', span);
    assert.deepEqual(twice.view.unfolded, ['p2']);
    assert.notEqual(once.view.highlight?.serial, twice.view.highlight?.serial);
  });

  it('does not repeat the same failure', () => {
    const model = addFailure(addFailure(opened(), '1', 'No.'), '2', 'No.');
    assert.deepEqual(
      model.failures.map(({ id }) => id),
      ['2'],
    );
  });

  it('stores and restores itself with its own view, and starts afresh from anything else', () => {
    const model = changeView(opened(), { confidence: true, unfolded: ['p1'] });
    const restored = fromStored(JSON.parse(JSON.stringify(toStored(model))));
    assert.deepEqual(restored.panel, doneState);
    assert.deepEqual(restored.view, model.view);
    const older: Record<string, unknown> = { ...toStored(model)! };
    delete older['tokenFileWarnings'];
    for (const wrong of [undefined, null, 3, {}, { version: 2 }, { version: 1 }, older])
      assert.equal(fromStored(wrong), initialModel);
  });
});

describe('webview: columns', () => {
  it('shows one column for each choice, run or not', () => {
    const columns = shownColumns({
      inputs: { ...doneState.inputs, columns: [{ kind: 'baseline' }, { kind: 'spring', k: 5 }] },
      columns: doneState.columns,
    });
    assert.deepEqual(
      columns.map(({ title, result }) => [title, result?.variant ?? null]),
      [
        ['Baseline', 'baseline'],
        ['SPRING k=5', null],
      ],
    );
  });

  it('keeps the answer of the slider’s earlier k, and says so', () => {
    const moved = { ...doneState.inputs, k: 20, columns: [{ kind: 'spring' as const }] };
    const [shown] = shownColumns({ inputs: moved, columns: doneState.columns });
    assert.equal(shown?.result?.variant, 'spring:10');
    assert.equal(shown.otherK, true);
    const both = { ...moved, columns: [{ kind: 'spring' as const }, { kind: 'spring' as const, k: 10 }] };
    const [slider, fixed] = shownColumns({ inputs: both, columns: doneState.columns });
    assert.equal(slider?.result, null, 'that answer belongs to the column of k=10');
    assert.equal(fixed?.result?.variant, 'spring:10');
  });

  it('keeps columns of both methods apart, and names them before they have run', () => {
    const columns: ColumnChoice[] = [{ kind: 'spring' }, { kind: 'spring+prag' }, { kind: 'prag' }];
    const combined = column('spring:10+prag', 'SPRING k=10 + Parametric RAG', ' 9787', { k: 10 });
    const shown = shownColumns({ inputs: { ...doneState.inputs, k: 20, columns }, columns: [combined] });
    assert.deepEqual(
      shown.map(({ key, title, result }) => [key, title, result?.variant ?? null]),
      [
        ['spring:slider', 'SPRING k=20', null],
        ['spring+prag:slider', 'SPRING k=10 + Parametric RAG', 'spring:10+prag'],
        ['prag', 'Parametric RAG', null],
      ],
    );
  });

  it('finds the choice of every variant, as a record needs it', () => {
    for (const { choice } of columnKinds) {
      for (const k of [3, 10])
        assert.deepEqual(variantOf(choiceOf(variantOf(choice(3), k), 10), 10), variantOf(choice(3), k));
    }
    assert.deepEqual(choiceOf('spring:10', 10), { kind: 'spring' });
    assert.deepEqual(choiceOf('spring:4+prag', 10), { kind: 'spring+prag', k: 4 });
    assert.deepEqual(choiceOf('prag+rag', 10), { kind: 'prag+rag' });
  });

  it('names a column by its choice until the engine has named it', () => {
    const waiting = column('spring:10', 'spring:10', '', { status: 'waiting', answer: null });
    const inputs = { ...doneState.inputs, columns: [{ kind: 'spring' as const }] };
    assert.equal(shownColumns({ inputs, columns: [waiting] })[0]?.title, 'SPRING k=10');
  });

  it('joins the tokens without the white space before them', () => {
    assert.equal(textOf(column('baseline', 'Baseline', ' 9787 is it')), '9787 is it');
  });

  it('compares with the chosen column, else the baseline, else the first', () => {
    const { columns } = doneState;
    assert.equal(referenceOf(columns, 'prompt')?.variant, 'prompt');
    assert.equal(referenceOf(columns, 'spring:77')?.variant, 'baseline');
    assert.equal(referenceOf([columns[0]!], null)?.variant, 'no-rag');
    assert.equal(referenceOf([], null), null);
  });
});

describe('webview: announcements', () => {
  it('says the run’s states, each complete answer, and nothing of single tokens', () => {
    assert.deepEqual(happened(readyState, readyState), []);
    const streamed = receive(opened(streamingState), {
      type: 'tokens',
      tokens: [{ column: 0, tokens: tokensOf(' x') }],
    });
    assert.deepEqual(happened(streamingState, streamed.panel!), []);
    const said = happened(streamingState, doneState);
    assert.equal(said[0], 'All answers are complete.');
    assert.equal(said[4], 'SPRING k=10: 9787.');
    assert.deepEqual(happened(readyState, { ...readyState, run: { kind: 'retrieving' } }), [
      'Finding passages.',
    ]);
  });
});
