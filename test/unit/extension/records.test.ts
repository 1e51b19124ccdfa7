import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { panelPage } from '../../../src/extension/panel/html.ts';
import { comparisonMarkdown, escapeMarkdown } from '../../../src/extension/panel/markdown.ts';
import { emptyState } from '../../../src/extension/panel/panelStore.ts';
import { differences, recordOf, stateOfRecord } from '../../../src/extension/panel/recordState.ts';
import { UserError } from '../../../src/protocol/errors.ts';
import type { PanelState } from '../../../src/protocol/panel.ts';
import { parseRecord } from '../../../src/protocol/record.ts';

const context = {
  createdAt: new Date('2026-01-02T03:04:05Z'),
  software: { extension: '0.1.0', node: '24.0.0', platform: 'linux-x64' },
};

function answered(): PanelState {
  const state = emptyState();
  return {
    ...state,
    index: {
      ...{
        kind: 'ready',
        files: 2,
        chunks: 20,
        errors: 0,
        updatedAt: '2026-01-01T00:00:00Z',
        contentHash: 'h1',
      },
    },
    model: { kind: 'ready', device: 'cpu', precision: 'f32', loadMs: 5 },
    run: { kind: 'done', timings: { firstPassageMs: 1, firstTokenMs: 2, totalMs: 3 }, stale: false },
    models: [
      {
        ...{
          id: 'demo',
          name: 'demo',
          folder: '/demo',
          source: 'built-in',
          architecture: 'LlamaForCausalLM',
        },
        ...{ hiddenSize: 128, numLayers: 5, contextLength: 512, weightBytes: 1, fingerprint: 'f1' },
      },
    ],
    tokenFiles: [
      {
        path: '/a.pt',
        name: 'a.pt',
        source: 'folder',
        rows: 50,
        hiddenSize: 128,
        dtype: 'float32',
        sha256: 's1',
      },
    ],
    inputs: { ...state.inputs, question: 'Which | port?', model: 'demo', tokenFile: '/a.pt', k: 7 },
    passages: [
      {
        id: 'hit-1',
        passage: { text: '<b>Port</b> [8144](command:x)', path: 'a.md', startLine: 3, endLine: 4, score: 2 },
        ...{ ticked: true, origin: 'retrieved', rank: 1, titlePath: ['A'], bm25Rank: 1, vectorRank: null },
      },
    ],
    columns: [
      {
        ...{ variant: 'spring:7', label: 'SPRING k=7', k: 7, status: 'done' },
        tokens: [{ tokenId: 5, text: '8144', logProbability: -0.5, alternatives: [] }],
        answer: {
          ...{
            text: ' 8144',
            tokenIds: [5],
            promptTokens: 20,
            sharedTokens: 9,
            truncatedTokens: 0,
            stopReason: 'eos',
          },
          timings: { prefillMs: 100, decodeMs: 50, decodeTokensPerSecond: 20 },
        },
        prompt: [{ text: 'p' }, { virtualTokens: 7 }, { text: 'q' }],
      },
    ],
  };
}

describe('experiment records', () => {
  it('go to JSON and back into the same comparison', () => {
    const state = answered();
    const record = parseRecord(JSON.stringify(recordOf(state, context)));
    const shown = stateOfRecord(record, '/r.spring.json', { ...emptyState(), models: state.models });
    assert.deepEqual(shown.columns, state.columns);
    assert.deepEqual(shown.passages, state.passages);
    assert.equal(shown.inputs.question, state.inputs.question);
    assert.equal(shown.inputs.k, 7);
    assert.deepEqual(shown.inputs.columns, [{ kind: 'spring' }]);
    assert.deepEqual(shown.record, { path: '/r.spring.json', createdAt: '2026-01-02T03:04:05.000Z' });
    assert.equal(record.tokenFile!.sha256, 's1');
    assert.equal(record.model.fingerprint, 'f1');
    assert.equal(record.index!.contentHash, 'h1');
    assert.deepEqual(record.variants[0]!.prompt, [{ text: 'p' }, { virtualTokens: 7 }, { text: 'q' }]);
  });

  it('keep columns of several embedding files apart, whatever the files are called where they are opened', () => {
    const state = answered();
    const [column] = state.columns;
    const [one] = state.tokenFiles;
    const two = { ...one!, path: '/two/b.pt', name: 'b.pt', sha256: 's2' };
    const files = { ...state, tokenFiles: [one!, two] };
    const columns = ['spring:7', 'spring:7@b'].map((variant) => ({ ...column!, variant }));
    const record = parseRecord(JSON.stringify(recordOf({ ...files, columns }, context)));
    assert.deepEqual(Object.keys(record.tokenFiles!), ['b']);
    assert.equal(record.tokenFiles!['b']!.sha256, 's2');
    assert.deepEqual(stateOfRecord(record, '/r', files).inputs.columns, [
      ...[{ kind: 'spring' }, { kind: 'spring', k: 7, tokenFile: 'b' }],
    ]);
    const renamed = { ...files, tokenFiles: [one!, { ...two, path: '/x/other.pt' }] };
    assert.deepEqual(stateOfRecord(record, '/r', renamed).columns[1]!.variant, 'spring:7@other');
    const taken = stateOfRecord(record, '/r', { ...files, tokenFiles: [one!, { ...two, sha256: 's3' }] });
    assert.deepEqual(taken.columns[1]!.variant, 'spring:7@b~s2', 'never the file that has the name here');
    assert.equal(differences(record, { ...files, tokenFiles: [one!] }).length, 1);
  });

  it('name no model and no file that is not known here', () => {
    const record = recordOf(answered(), context);
    const elsewhere = { ...record, model: { ...record.model, id: '/downloads/of-somebody' } };
    const shown = stateOfRecord(elsewhere, '/r.spring.json', answered());
    assert.equal(shown.inputs.model, null);
    assert.equal(shown.inputs.tokenFile, '/a.pt');
    const file = { ...record.tokenFile!, path: '/downloads/of-somebody.pt' };
    const moved = stateOfRecord({ ...record, tokenFile: file }, '/r.spring.json', answered());
    assert.equal(moved.inputs.tokenFile, '/a.pt', 'the same tokens under the name that they have here');
    const other = stateOfRecord(
      { ...record, tokenFile: { ...file, sha256: 's2' } },
      '/r.spring.json',
      answered(),
    );
    assert.equal(other.inputs.tokenFile, null);
  });

  it('say what has changed since', () => {
    const state = answered();
    const record = recordOf(state, context);
    assert.deepEqual(differences(record, state), []);
    const later: PanelState = {
      ...state,
      models: state.models.map((model) => ({ ...model, fingerprint: 'f2' })),
      tokenFiles: [],
      index: { ...state.index, contentHash: 'h2' } as PanelState['index'],
    };
    assert.equal(differences(record, later).length, 3);
  });

  it('are refused when the answers do not belong to the inputs', () => {
    assert.throws(() => recordOf(emptyState(), context), UserError);
    const stale = answered();
    stale.run = { kind: 'done', timings: { firstPassageMs: 1, firstTokenMs: 2, totalMs: 3 }, stale: true };
    assert.throws(() => recordOf(stale, context), /inputs have changed/);
  });

  it('that are none are refused with one clear message', () => {
    const record = recordOf(answered(), context);
    /** The record with one field replaced. */
    const changed = (path: string, value: unknown): string => {
      const copy = structuredClone(record) as unknown;
      const names = path.split('.');
      const last = names.pop()!;
      const owner = names.reduce((object, name) => (object as Record<string, unknown>)[name], copy);
      (owner as Record<string, unknown>)[last] = value;
      return JSON.stringify(copy);
    };
    for (const [text, expected] of [
      ['{', /not valid JSON/],
      ['null', /not an experiment record/],
      ['{"format":"other"}', /not an experiment record/],
      [JSON.stringify({ ...record, version: 9 }), /version 9/],
      [JSON.stringify({ ...record, variants: undefined }), /damaged: "variants" is missing/],
      [JSON.stringify({ ...record, settings: null }), /damaged: "settings" .*found null/],
      [changed('variants.0.tokens', undefined), /"variants\.0\.tokens" is missing/],
      [changed('variants.0.tokens.0.text', 7), /"variants\.0\.tokens\.0\.text" .*a text.*found 7/],
      [changed('variants.0.id', 'spring:7; rm'), /"variants\.0\.id"/],
      [changed('model.requestedDevice', 'tpu'), /"model\.requestedDevice"/],
      [changed('passages.0.rank', -1), /"passages\.0\.rank"/],
      [changed('settings.maxNewTokens', 1e12), /"settings\.maxNewTokens"/],
      [changed('model.id', 'm'.repeat(5000)), /"model\.id"/],
      ['['.repeat(100_000), /not valid JSON/],
    ] as const) {
      assert.throws(
        () => parseRecord(text),
        (error) => error instanceof UserError && expected.test(error.message),
      );
    }
  });
});

describe('a comparison as Markdown', () => {
  it('has the answers in a table, and text that cannot become markup', () => {
    const markdown = comparisonMarkdown(answered());
    assert.match(markdown, /^## Which \\\| port\?/);
    assert.match(markdown, /\| SPRING k=7 \| 8144 \| 1 \| 0\.15 s \| 20 \|/);
    assert.match(markdown, /1\. a\.md:3-4: &lt;b&gt;Port&lt;\/b&gt; \\\[8144\\\]\(command:x\)/);
    assert.match(markdown, /Settings: up to \d+ tokens, greedy \(temperature 0\)\./);
    assert.equal(escapeMarkdown('a\n# b'), 'a # b');
    const asItStands = ['eu-central-1', 'HARBOR_PORT', 'a+b (c) #1', '3.5'];
    for (const text of asItStands) assert.equal(escapeMarkdown(text), text);
    const escaped = {
      '- a': '\\- a',
      '# a': '\\# a',
      '1. a': '1\\. a',
      _a_: '\\_a\\_',
      '**a**': '\\*\\*a\\*\\*',
    };
    for (const [text, expected] of Object.entries(escaped)) assert.equal(escapeMarkdown(text), expected);
    assert.equal(escapeMarkdown('&lt;b>'), '&amp;lt;b&gt;');
  });
});

describe('the page of the panel', () => {
  it('allows its own script alone, by a nonce that is new each time', () => {
    const parts = {
      title: 'A "b" <c>',
      language: 'en',
      source: 'vscode-webview:',
      scriptUri: 's.js',
      styleUri: 's.css',
    };
    const page = panelPage(parts);
    const policy = /content="([^"]+)"/.exec(page)![1]!;
    assert.match(policy, /^default-src 'none'; script-src 'nonce-([\w-]{22})';/);
    assert.doesNotMatch(policy, /script-src[^;]*unsafe/);
    assert.ok(!page.includes('<c>'));
    assert.notEqual(page, panelPage(parts));
  });
});
