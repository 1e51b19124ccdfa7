import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'mocha';
import { EngineStoppedError } from '../../../src/engine/supervisor.ts';
import {
  type Choices,
  ComparisonSession,
  type SessionServices,
} from '../../../src/extension/panel/comparisonSession.ts';
import { emptyState, restoreState } from '../../../src/extension/panel/panelStore.ts';
import { loadCatalogue } from '../../../src/hub/catalogue.ts';
import type {
  Answer,
  ComparisonEvent,
  ComparisonRequest,
  ModelInfo,
  TokenFileInfo,
  VariantId,
} from '../../../src/protocol/comparison.ts';
import type { SearchHit } from '../../../src/protocol/engine.ts';
import { CancelledError, UserError } from '../../../src/protocol/errors.ts';
import type { HostToPanel, IndexState } from '../../../src/protocol/panel.ts';

export const model = (id: string, hiddenSize: number): ModelInfo => ({
  ...{
    id,
    name: id,
    folder: `/models/${id}`,
    source: 'folder',
    architecture: 'LlamaForCausalLM',
    hiddenSize,
  },
  ...{ numLayers: 2, contextLength: 512, weightBytes: 1000, fingerprint: `print-${id}` },
});
export const tokenFile = (name: string, rows: number, hiddenSize: number): TokenFileInfo => ({
  ...{
    path: `/files/${name}`,
    name,
    source: 'folder',
    rows,
    hiddenSize,
    dtype: 'float32',
    sha256: `sha-${name}`,
  },
});
export const answer = (text: string): Answer => ({
  text,
  tokenIds: Array.from(text, (_, id) => id),
  ...{ promptTokens: 9, sharedTokens: 0, truncatedTokens: 0, stopReason: 'eos' },
  timings: { prefillMs: 10, decodeMs: 20, decodeTokensPerSecond: 50 },
});
const hit = (rank: number): SearchHit => ({
  ...{ text: `text ${rank}`, path: `file${rank}.md`, startLine: rank, endLine: rank + 1, score: 10 - rank },
  ...{ folder: '/w', rank, headings: [], headingLines: 0, bm25Rank: rank, vectorRank: null, duplicates: [] },
});
const ready: IndexState = {
  ...{ kind: 'ready', files: 2, chunks: 20, errors: 0, updatedAt: '2026-01-01T00:00:00Z', contentHash: 'h' },
};

function* eventsOf(variants: readonly VariantId[]): Generator<ComparisonEvent> {
  yield { type: 'loading', message: 'Loading demo' };
  yield {
    type: 'loaded',
    model: { model: 'demo', folder: '/m', device: 'cpu', precision: 'f32', loadMs: 5 },
  };
  yield {
    type: 'prepared',
    variants: variants.map((id) => ({ id, label: `Label ${id}`, k: 0, prompt: [{ text: 'prompt' }] })),
  };
  for (const variant of variants) {
    for (const text of ['one ', 'two']) {
      yield { type: 'token', variant, token: { tokenId: 1, text, logProbability: -0.1, alternatives: [] } };
    }
    yield { type: 'answer', variant, answer: answer('one two') };
  }
}

describe('a comparison session', () => {
  let session: ComparisonSession;
  let requests: ComparisonRequest[];
  let searches: string[];
  let warmed: string[];
  let index: IndexState;
  let compare: SessionServices['compare'];
  let libraryKnown: () => Promise<void>;
  let sent: HostToPanel[];
  let kept: Choices[];

  beforeEach(() => {
    kept = [];
    libraryKnown = () => Promise.resolve();
    requests = [];
    searches = [];
    warmed = [];
    sent = [];
    index = ready;
    compare = (request, _, onEvents) => {
      onEvents([...eventsOf(request.variants)]);
      return Promise.resolve();
    };
    session = new ComparisonSession(emptyState(), {
      libraryKnown: () => libraryKnown(),
      ensureIndexed: () => Promise.resolve(index),
      search: (query, count) => {
        searches.push(query);
        return Promise.resolve(Array.from({ length: count }, (_, place) => hit(place + 1)));
      },
      compare: (request, signal, onEvents) => {
        requests.push(request);
        return compare(request, signal, onEvents);
      },
      questionAsked: () => undefined,
      warmUp: ({ model: id }) => warmed.push(id),
      keepChoices: (choices) => {
        kept.push(choices);
        return Promise.resolve();
      },
      catalogue: () => loadCatalogue(),
    });
    session.setLibrary(
      [model('demo', 128), model('big', 256)],
      [tokenFile('a.pt', 50, 128), tokenFile('b.pt', 20, 256)],
    );
    session.store.connect((message) => sent.push(structuredClone(message)));
  });

  /** Of the run that has ended: whether its answers no longer belong to the inputs. */
  const isStale = (): boolean | undefined => {
    const { run } = session.state;
    return run.kind === 'done' ? run.stale : undefined;
  };

  it('retrieves, ticks the first passages and fills the columns', async () => {
    await session.ask('  Which port? ');
    const { run, passages, columns, model: loaded } = session.state;
    assert.deepEqual(searches, ['Which port?']);
    assert.deepEqual(warmed, ['demo']);
    assert.equal(run.kind, 'done');
    assert.equal(passages.length, 8);
    assert.deepEqual(
      passages.map(({ ticked }) => ticked),
      [true, true, true, false, false, false, false, false],
    );
    assert.deepEqual(
      columns.map(({ variant }) => variant),
      ['no-rag', 'baseline', 'spring:10'],
    );
    assert.deepEqual(
      columns.map(({ status }) => status),
      ['done', 'done', 'done'],
    );
    assert.equal(columns[2]!.tokens.map(({ text }) => text).join(''), 'one two');
    assert.equal(loaded.kind, 'ready');
    assert.deepEqual(
      requests[0]!.passages.map(({ text }) => text),
      ['text 1', 'text 2', 'text 3'],
    );
    assert.equal(requests[0]!.tokenFile, '/files/a.pt');
  });

  it('what it sends adds up to its state', async () => {
    await session.ask('Which port?');
    let state = emptyState();
    for (const message of sent) {
      if (message.type === 'state') ({ state } = message);
      else if (message.type === 'patch') state = { ...state, ...message.patch };
      else if (message.type === 'tokens') {
        for (const { column, tokens } of message.tokens) state.columns[column]!.tokens.push(...tokens);
      }
    }
    assert.deepEqual(state, session.state);
  });

  it('knows which steps of the walkthrough the user has tried', async () => {
    await session.ask('Which port?');
    session.edit({ k: session.state.inputs.k });
    assert.deepEqual(session.tried, { passages: false, virtualTokens: false, model: false });
    session.edit({ k: 3 });
    assert.deepEqual(session.tried, { passages: false, virtualTokens: true, model: false });
    session.tick([]);
    session.edit({ model: 'big' });
    assert.deepEqual(session.tried, { passages: true, virtualTokens: true, model: true });
  });

  it('runs again with other ticks and k without retrieving', async () => {
    await session.ask('Which port?');
    session.tick(['hit-2']);
    session.edit({ k: 4 });
    assert.equal(isStale(), true);
    await session.rerun();
    assert.equal(searches.length, 1);
    assert.deepEqual(
      requests[1]!.passages.map(({ text }) => text),
      ['text 2'],
    );
    assert.ok(requests[1]!.variants.includes('spring:4'));
    assert.equal(isStale(), false);
  });

  it('shows a record until something changes, and knows what is not saved', async () => {
    assert.equal(session.unsaved, false);
    await session.ask('Which port?');
    assert.equal(session.unsaved, true);
    const record = { path: '/r.spring.json', createdAt: '2026-01-01T00:00:00Z' };
    const changes: (() => unknown)[] = [
      () => {
        session.edit({ k: 3 });
      },
      () => {
        session.tick([]);
      },
      () => session.rerun(),
    ];
    for (const change of changes) {
      session.store.patch({ record });
      assert.equal(session.unsaved, false);
      await change();
      assert.equal(session.state.record, null);
    }
    session.edit({ question: 'typed' });
    session.store.patch({ record });
    session.edit({ question: 'typed' });
    assert.equal(session.state.record, null);
  });

  it('a column more or less leaves the other answers as they are', async () => {
    await session.ask('Which port?');
    session.edit({ columns: [...session.state.inputs.columns, { kind: 'prompt' }] });
    assert.equal(isStale(), false);
    session.edit({ k: 4 });
    assert.equal(isStale(), true);
  });

  it('keeps passages added by hand when it retrieves again', async () => {
    session.addPassage({ text: 'mine' }, 'by-hand');
    await session.ask('Which port?');
    assert.equal(session.state.passages.at(-1)!.passage.text, 'mine');
    assert.deepEqual(requests[0]!.passages.at(-1), { text: 'mine' });
    assert.throws(() => session.addPassage({ text: '  ' }, 'by-hand'), UserError);
  });

  it('answers without a folder: without passages, or with those added by hand', async () => {
    index = { kind: 'no-folder' };
    await session.ask('Which port?');
    assert.equal(session.state.run.kind, 'done');
    assert.deepEqual(requests[0]!.passages, []);
    session.addPassage({ text: 'mine' }, 'by-hand');
    await session.ask('Which port?');
    assert.deepEqual(requests[1]!.passages, [{ text: 'mine' }]);
    assert.deepEqual(searches, []);
  });

  it('needs no index for a column without passages', async () => {
    index = { kind: 'none' };
    session.edit({ columns: [{ kind: 'no-rag' }] });
    await session.ask('Which port?');
    assert.equal(session.state.run.kind, 'done');
  });

  it('waits for the list of files when a question comes just after opening', async () => {
    session.store.patch({ models: [], tokenFiles: [] });
    session.edit({ tokenFile: null });
    const listed = Promise.withResolvers<undefined>();
    libraryKnown = () => listed.promise;
    const run = session.ask('Which port?');
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(requests.length, 0);
    session.setLibrary([model('demo', 128)], [tokenFile('a.pt', 50, 128)]);
    listed.resolve(undefined);
    await run;
    assert.equal(session.state.run.kind, 'done');
    assert.equal(requests[0]!.tokenFile, '/files/a.pt');
  });

  it('can be cancelled while it waits for the list of files', async () => {
    const listed = Promise.withResolvers<undefined>();
    libraryKnown = () => listed.promise;
    const run = session.ask('Which port?');
    session.cancel();
    listed.resolve(undefined);
    await run;
    assert.equal(session.state.run.kind, 'cancelled');
    assert.equal(requests.length, 0);
  });

  it('does not echo an edit, but sends a correction', () => {
    const before = sent.length;
    session.edit({ question: 'typed' });
    assert.equal(sent.length, before);
    session.edit({ k: 80 });
    assert.equal(session.state.inputs.k, 50);
    assert.ok(sent.some((message) => message.type === 'patch' && message.patch.inputs?.k === 50));
  });

  it('asks several embedding files side by side', async () => {
    session.setLibrary(session.state.models, [tokenFile('a.pt', 50, 128), tokenFile('c.pt', 20, 128)]);
    session.edit({ columns: [{ kind: 'spring' }, { kind: 'spring', k: 3, tokenFile: 'c' }] });
    await session.ask('Which port?');
    assert.deepEqual(requests[0]!.variants, ['spring:10', 'spring:3@c']);
    assert.deepEqual(requests[0]!.tokenFiles, { c: '/files/c.pt' });
    assert.equal(requests[0]!.tokenFile, '/files/a.pt');
  });

  it('changes the embedding file with the model, and says why one does not fit', () => {
    session.edit({ model: 'big' });
    assert.equal(session.state.inputs.tokenFile, '/files/b.pt');
    assert.match(session.state.tokenFileFit['/files/a.pt']!, /128 numbers, the model's embeddings 256/);
    assert.equal(session.selectTokenFile(tokenFile('a.pt', 50, 128)), false);
    assert.equal(session.state.inputs.tokenFile, '/files/b.pt');
    assert.match(session.state.notices[0]!.message, /a\.pt does not fit big/);
  });

  it('chooses the embedding file again when the model changes back', () => {
    const files = [tokenFile('a.pt', 50, 128), tokenFile('c.pt', 20, 128), tokenFile('b.pt', 20, 256)];
    session.setLibrary([model('demo', 128), model('big', 256)], files);
    session.edit({ tokenFile: '/files/c.pt' });
    session.edit({ model: 'big' });
    assert.equal(session.state.inputs.tokenFile, '/files/b.pt');
    session.edit({ model: 'demo' });
    assert.equal(session.state.inputs.tokenFile, '/files/c.pt');
  });

  it('takes a file that was trained for the new model before one of the same width', () => {
    const own = (name: string, backbone: string) => ({ ...tokenFile(name, 50, 128), backbone });
    session.setLibrary(
      [model('one', 128), model('two', 128)],
      [own('one.pt', 'one'), own('two.pt', 'two'), tokenFile('unknown.pt', 50, 128)],
    );
    session.edit({ model: 'two' });
    assert.equal(session.state.inputs.tokenFile, '/files/two.pt');
    session.edit({ model: 'one' });
    assert.equal(session.state.inputs.tokenFile, '/files/one.pt');
  });

  it('keeps what the user chooses, not what it corrects', () => {
    session.edit({ device: 'cpu', question: 'typed' });
    session.edit({ model: 'big' });
    session.edit({ tokenFile: '/files/a.pt' }); // does not fit
    session.edit({ tokenFile: '/files/b.pt', precision: 'int8' });
    assert.deepEqual(kept, [
      { device: 'cpu' },
      { model: 'big' },
      { tokenFile: '/files/b.pt', precision: 'int8' },
    ]);
  });

  it('warns of an embedding file of the right width that was trained for another model', () => {
    const own = { ...tokenFile('own.pt', 50, 128), backbone: 'demo' };
    const other = { ...tokenFile('other.pt', 50, 128), backbone: 'owner/other' };
    session.setLibrary([model('demo', 128)], [other, own]);
    assert.deepEqual(Object.keys(session.state.tokenFileWarnings), [other.path]);
    assert.match(session.state.tokenFileWarnings[other.path]!, /trained for owner\/other/);
    assert.equal(session.state.tokenFileFit[other.path], null);
    assert.equal(session.selectTokenFile(other), true);
  });

  it('cancels, keeps what was written, and answers the next question', async () => {
    compare = async ({ variants }, signal, onEvents) => {
      onEvents([...eventsOf(variants)].slice(0, 4));
      await new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(new CancelledError()), { once: true }),
      );
    };
    const run = session.ask('Which port?');
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(session.busy, true);
    session.cancel();
    await run;
    assert.equal(session.busy, false);
    assert.equal(session.state.run.kind, 'cancelled');
    assert.equal(session.state.columns[0]!.tokens[0]!.text, 'one ');
    assert.deepEqual(
      session.state.columns.map(({ status }) => status),
      ['cancelled', 'cancelled', 'cancelled'],
    );
  });

  it('a new question takes the place of the one that runs', async () => {
    const gate = Promise.withResolvers<undefined>();
    const quick = compare;
    compare = async () => {
      await gate.promise;
    };
    const first = session.ask('first');
    await new Promise((resolve) => setImmediate(resolve));
    compare = quick;
    await session.ask('second');
    gate.resolve(undefined);
    await first;
    assert.equal(session.state.run.kind, 'done');
    assert.equal(session.state.inputs.question, 'second');
    assert.equal(session.state.columns[0]!.status, 'done');
  });

  it('offers a way out of each failure', async () => {
    const failure = async (): Promise<{ message: string; actions: string[] }> => {
      await session.retry();
      const { run } = session.state;
      if (run.kind !== 'failed') throw new Error(`The run ended as ${run.kind}.`);
      return { message: run.message, actions: run.actions.map(({ action }) => action) };
    };
    session.edit({ question: 'Which port?' });
    index = { kind: 'none' };
    assert.deepEqual((await failure()).actions, ['index-workspace', 'show-log']);
    index = ready;
    compare = () => Promise.reject(new EngineStoppedError('It was ended by SIGKILL.'));
    assert.deepEqual((await failure()).actions, ['retry', 'restart-engine', 'show-log']);
    assert.match((await failure()).message, /SIGKILL/);
    session.setLibrary([model('demo', 128)], []);
    session.edit({ columns: [{ kind: 'spring' }] });
    assert.deepEqual((await failure()).actions, ['select-token-file', 'retry']);
  });

  it('a column that cannot run says what it needs and offers it; the others answer', async () => {
    session.setLibrary([model('demo', 128)], []);
    const chat: ComparisonEvent = {
      ...{ type: 'unavailable', variant: 'chat', label: 'Chat prompt', k: 0 },
      ...{ message: 'This model has no chat template.', needs: 'model' },
    };
    compare = (request, _, onEvents) => {
      onEvents([chat, ...eventsOf(request.variants.filter((id) => id !== 'chat'))]);
      return Promise.resolve();
    };
    session.edit({ columns: [{ kind: 'spring' }, { kind: 'baseline' }, { kind: 'chat' }] });
    await session.ask('Which port?');
    assert.deepEqual(requests[0]!.variants, ['baseline', 'chat']);
    assert.equal(session.state.run.kind, 'done');
    assert.deepEqual(
      session.state.columns.map(({ variant, status, problem }) => [
        ...[variant, status, problem?.message, problem?.actions[0]?.action],
      ]),
      [
        [
          ...['spring:10', 'failed'],
          'A SPRING column needs an embedding file that fits the model: choose one.',
          'select-token-file',
        ],
        ['baseline', 'done', undefined, undefined],
        ['chat', 'failed', 'This model has no chat template.', 'select-model'],
      ],
    );
    assert.ok(
      restoreState(JSON.parse(JSON.stringify(session.state))),
      'such a state comes back after a reload',
    );
    await session.rerun();
    assert.equal(session.state.columns[1]!.status, 'done');
  });

  it('refuses an empty question', async () => {
    await assert.rejects(session.ask(' '), UserError);
    await assert.rejects(session.rerun(), UserError);
  });
});

describe('a stored panel state', () => {
  it('comes back with what was going on interrupted', () => {
    const state = emptyState();
    state.run = { kind: 'streaming' };
    state.inputs.question = 'Which port?';
    state.columns = [
      {
        variant: 'baseline',
        label: 'Baseline',
        k: 0,
        status: 'streaming',
        tokens: [],
        answer: null,
        prompt: null,
      },
    ];
    const restored = restoreState(structuredClone(state))!;
    assert.equal(restored.run.kind, 'cancelled');
    assert.equal(restored.columns[0]!.status, 'cancelled');
    assert.equal(restored.inputs.question, 'Which port?');
  });

  it('is dropped when it is something else', () => {
    for (const stored of [undefined, null, 'text', {}, { version: 2 }, { version: 1 }]) {
      assert.equal(restoreState(stored), null);
    }
  });
});
