import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { CancelledError, UserError } from '../../../src/protocol/errors.ts';
import { Embedder } from '../../../src/retrieval/embedding/embedder.ts';
import { readModelFolder } from '../../../src/retrieval/embedding/modelFolder.ts';
import { normalised, poolTokens } from '../../../src/retrieval/embedding/pooling.ts';
import { tokenVector, vocabulary, writeEmbeddingModel, type ModelFiles } from './embeddingModel.ts';
import { lastOf, TestWorkspace } from './workspace.ts';

const ids = (text: string) => text.split(' ').map((word) => vocabulary.indexOf(word));

function mean(tokens: string): number[] {
  const rows = ids(tokens).map(tokenVector);
  return [...normalised(Float32Array.from(rows[0]!, (_, i) => rows.reduce((sum, row) => sum + row[i]!, 0)))];
}

function assertClose(actual: Float32Array, expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, i) =>
    assert.ok(Math.abs(value - expected[i]!) < 1e-5, `${[...actual].join()} / ${expected.join()}`),
  );
}

async function embed(
  files: ModelFiles,
  texts: string[],
  kind: 'query' | 'passage' = 'passage',
): Promise<Float32Array[]> {
  using workspace = new TestWorkspace();
  const embedder = await Embedder.open(writeEmbeddingModel(join(workspace.top, 'model'), files));
  try {
    return await embedder.embed(texts, kind);
  } finally {
    await embedder.close();
  }
}

describe('embedding', () => {
  it('gives each text its own vector, whatever shares its batch', async () => {
    const texts = Array.from({ length: 100 }, (_, i) =>
      Array.from({ length: 1 + (i % 7) }, (_, j) => vocabulary[7 + ((i + j) % 4)]!).join(' '),
    );
    const vectors = await embed({}, texts);
    texts.forEach((text, i) => assertClose(vectors[i]!, mean(`[CLS] ${text} [SEP]`)));
  });

  it('pools as the model folder says', async () => {
    const one = async (pooling: Record<string, unknown>) =>
      (await embed({ pooling }, ['cat car', 'dog']))[0]!;
    assertClose(await one({ pooling_mode_cls_token: true, pooling_mode_mean_tokens: false }), mean('[CLS]'));
    assertClose(await one({ pooling_mode_mean_tokens: true }), mean('[CLS] cat car [SEP]'));
    assertClose(await one({ pooling_mode_lasttoken: true }), mean('[SEP]'));
    assertClose(await one({ pooling_mode: 'cls' }), mean('[CLS]'));
    const most = ids('[CLS] cat car [SEP]')
      .map(tokenVector)
      .reduce((a, b) => a.map((value, i) => Math.max(value, b[i]!)));
    assertClose(await one({ pooling_mode_max_tokens: true }), [...normalised(Float32Array.from(most))]);
  });

  it('takes the rows of padding for nothing', () => {
    const hidden = Float32Array.from([3, 4, 9, 9, 0, 2, 0, 4]); // (2 texts, 2 tokens, 2)
    assertClose(poolTokens(hidden, [1, 2], 2, 2, 'mean')[0]!, [0.6, 0.8]);
    assertClose(poolTokens(hidden, [1, 2], 2, 2, 'mean')[1]!, [0, 1]);
  });

  it('puts the prompts of the model before queries and passages', async () => {
    const prompts = { query: 'query: ', passage: 'passage: ' };
    assertClose((await embed({ prompts }, ['cat'], 'query'))[0]!, mean('[CLS] query : cat [SEP]'));
    assertClose((await embed({ prompts }, ['cat'], 'passage'))[0]!, mean('[CLS] passage : cat [SEP]'));
  });

  it('knows the E5 models by name', () => {
    using workspace = new TestWorkspace();
    const e5 = readModelFolder(writeEmbeddingModel(join(workspace.top, 'multilingual-e5-small')));
    assert.deepEqual([e5.queryPrefix, e5.passagePrefix], ['query: ', 'passage: ']);
    assert.equal(readModelFolder(writeEmbeddingModel(join(workspace.top, 'base5'))).queryPrefix, '');
  });

  it('cuts long texts and keeps the last token', async () => {
    const [vector] = await embed({ maxLength: 4 }, ['cat dog car truck']);
    assertClose(vector!, mean('[CLS] cat dog [SEP]'));
  });

  it('can be cancelled', async () => {
    using workspace = new TestWorkspace();
    const embedder = await Embedder.open(writeEmbeddingModel(join(workspace.top, 'model')));
    await assert.rejects(embedder.embed(['cat'], 'query', AbortSignal.abort()), CancelledError);
    await embedder.close();
  });

  it('refuses folders that it cannot run, naming what is wrong', async () => {
    using workspace = new TestWorkspace();
    await assert.rejects(
      Embedder.open(workspace.folder),
      (error) => error instanceof UserError && /model\.onnx/.test(error.message),
    );
    const dense = [{ type: 'sentence_transformers.models.Dense', path: '2_Dense' }];
    await assert.rejects(embed({ modules: dense }, ['cat']), /Dense, which is not supported/);
    await assert.rejects(
      embed({ pooling: { pooling_mode_weightedmean_tokens: true } }, ['cat']),
      /pools by weightedmean/,
    );
  });
});

describe('hybrid search', () => {
  it('finds by meaning what shares no word, and follows changes', async () => {
    using workspace = new TestWorkspace({
      'a.md': 'dog dog',
      'b.md': 'truck truck',
      'c.md': 'nothing of it',
    });
    const embedder = writeEmbeddingModel(join(workspace.top, 'model'));
    using index = workspace.open({ embedder });
    const built = await workspace.update(index);
    assert.deepEqual([built.embedded, built.toEmbed], [3, 3]);
    const { mode, hits } = await index.search('cat', { limit: 3 });
    assert.equal(mode, 'hybrid');
    assert.deepEqual([hits[0]!.path, hits[0]!.bm25Rank, hits[0]!.vectorRank], ['a.md', null, 1]);
    const both = (await index.search('truck', { limit: 1 })).hits[0]!;
    assert.deepEqual([both.path, both.bm25Rank, both.vectorRank], ['b.md', 1, 1]);
    assert.equal((await index.search('cat', { mode: 'bm25' })).hits.length, 0);
    assert.equal((await index.search('cat', { mode: 'vector', pathGlob: 'b.*' })).hits[0]!.path, 'b.md');

    workspace.write('b.md', 'cat cat cat');
    assert.equal((await workspace.update(index)).embedded, 1);
    const after = await index.search('cat', { mode: 'vector', limit: 2 });
    assert.deepEqual(after.hits.map((hit) => hit.path).sort(), ['a.md', 'b.md']);
    assert.equal(index.status().embedded, 3);
  });

  it('falls back to words when the model is gone, and takes a new one', async () => {
    using workspace = new TestWorkspace({ 'a.md': 'dog' });
    const embedder = writeEmbeddingModel(join(workspace.top, 'model'));
    {
      using index = workspace.open({ embedder });
      await workspace.update(index);
    }
    rmSync(embedder, { recursive: true });
    {
      using index = workspace.open();
      const { mode, hits, notices } = await index.search('dog');
      assert.deepEqual([mode, hits.length], ['bm25', 1]);
      assert.match(notices.join(), /No embedding model in/);
    }
    const other = writeEmbeddingModel(join(workspace.top, 'other'), {
      pooling: { pooling_mode_cls_token: true },
    });
    {
      using index = workspace.open({ embedder: other });
      assert.match((await index.search('dog')).notices.join(), /no vectors of the embedding model yet/);
      assert.equal((await workspace.update(index)).embedded, 1);
      assert.equal((await index.search('dog')).mode, 'hybrid');
    }
    using index = workspace.open({ embedder: null });
    await workspace.update(index);
    assert.equal(index.status().embedded, 0);
    assert.equal((await lastOf(index.update([workspace.folder], { rebuild: true }))).added, 1);
  });
});
