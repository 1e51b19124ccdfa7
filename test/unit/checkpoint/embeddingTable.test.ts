import assert from 'node:assert/strict';
import { join } from 'node:path';
import { UserError } from '../../../src/protocol/errors.ts';
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts';
import { EmbeddingTable } from '../../../src/checkpoint/embeddingTable.ts';
import {
  removeFolder,
  temporaryFolder,
  tinyConfig,
  tinyTensors,
  writeCheckpoint,
} from '../../fixtures/checkpoint/tinyCheckpoint.ts';

describe('token embeddings', () => {
  let folder: string;
  before(() => (folder = temporaryFolder()));
  after(() => removeFolder(folder));

  /** Row r of the embeddings holds r + column / 16, exact in every float type; `poisoned` sets one row to NaN. */
  async function open(
    name: string,
    dtype: 'F32' | 'F16' | 'BF16',
    poisoned?: number,
  ): Promise<EmbeddingTable> {
    const tensors = tinyTensors(tinyConfig, dtype);
    const data = Float32Array.from({ length: 32 * 16 }, (_, i) => Math.floor(i / 16) + (i % 4) / 4);
    if (poisoned !== undefined) data[poisoned * 16 + 3] = NaN;
    tensors.find((tensor) => tensor.name === 'model.embed_tokens.weight')!.data = data;
    await writeCheckpoint(join(folder, name), tinyConfig, tensors);
    return EmbeddingTable.open(await openCheckpoint(join(folder, name)));
  }

  for (const dtype of ['F32', 'F16', 'BF16'] as const) {
    it(`reads rows of ${dtype} in the order of the ids, repeated ones too`, async () => {
      await using table = await open(dtype, dtype);
      const rows = await table.rows([31, 0, 31, 5]);
      assert.equal(rows.length, 4 * 16);
      assert.deepEqual([...rows.subarray(0, 4)], [31, 31.25, 31.5, 31.75]);
      assert.deepEqual(rows.subarray(0, 16), rows.subarray(32, 48));
      assert.deepEqual([rows[16], rows[48]], [0, 5]);
      assert.deepEqual(await table.rows([31, 0, 31, 5]), rows); // now from memory
      assert.equal((await table.rows([])).length, 0);
    });
  }

  it('gives rows that callers may change', async () => {
    await using table = await open('own', 'F32');
    (await table.rows([3])).fill(99);
    assert.equal((await table.rows([3]))[0], 3);
  });

  it('reads more rows than it reads at a time', async () => {
    await using table = await open('many', 'F16');
    const ids = Array.from({ length: 500 }, (_, i) => (i * 7) % 32);
    const rows = await table.rows(ids);
    ids.forEach((id, i) => {
      assert.equal(rows[i * 16], id);
    });
  });

  it('refuses ids outside the vocabulary and rows that are not finite', async () => {
    await using table = await open('bad', 'BF16', 4);
    for (const id of [32, -1, 1.5]) {
      await assert.rejects(table.rows([1, id]), (error: unknown) => {
        assert.ok(error instanceof UserError);
        assert.match(error.message, /is outside the model's vocabulary of 32 tokens: the tokenizer/);
        return true;
      });
    }
    await assert.rejects(table.rows([4]), /embedding of token 4 holds values that are not finite/);
    assert.equal((await table.rows([5]))[0], 5);
  });
});
