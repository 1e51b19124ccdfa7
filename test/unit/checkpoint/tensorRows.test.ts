/** Rows of stored tensors: float types, blocks, heads that lie interleaved. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashValues, readRows } from '../../../src/checkpoint/tensorRows.ts';
import type { TensorLocation } from '../../../src/checkpoint/types.ts';

describe('rows of tensors', () => {
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'spring-rows-'))));
  after(() => rmSync(folder, { recursive: true }));

  const store = (
    bytes: Uint8Array,
    dtype: TensorLocation['dtype'],
    shape: number[],
    interleavedHeadDim?: number,
  ): TensorLocation => {
    const file = join(folder, 'tensor');
    writeFileSync(file, Buffer.concat([Buffer.alloc(7), bytes]));
    const location = { name: 'w', dtype, shape, file, offset: 7, length: bytes.length };
    return interleavedHeadDim === undefined ? location : { ...location, interleavedHeadDim };
  };
  const counting = (length: number): Uint8Array =>
    new Uint8Array(Float32Array.from({ length }, (_, i) => i).buffer);

  it('are read where they lie, unaligned too; a vector is one row', async () => {
    const matrix = store(counting(12), 'F32', [4, 3]);
    assert.deepEqual(await readRows(matrix, 1, 2), Float32Array.of(3, 4, 5, 6, 7, 8));
    await assert.rejects(readRows(matrix, 3, 2), /Rows 3 to 5 of "w", which has 4/);
    assert.deepEqual(await readRows(store(counting(3), 'F32', [3]), 0, 1), Float32Array.of(0, 1, 2));
  });

  it('of blocks are dequantised', async () => {
    // Q8_0: scale 0.5 (0x3800), then 32 signed bytes; two rows of one block
    const block = (first: number): number[] => [
      0,
      0x38,
      ...Array.from({ length: 32 }, (_, i) => (first - i) & 255),
    ];
    const location = store(Uint8Array.from([...block(10), ...block(-3)]), 'Q8_0', [2, 32]);
    const row = await readRows(location, 1, 1);
    assert.deepEqual([...row.subarray(0, 3)], [-1.5, -2, -2.5]);
    const both = await readRows(location, 0, 2);
    assert.deepEqual(both.subarray(32), row);
    const hash = createHash('sha256').update(new Uint8Array(both.buffer)).digest('hex');
    assert.equal(await hashValues(location), hash);
  });

  it('of interleaved heads come in the order of the model', async () => {
    // Two heads of 6: row h * 6 + 2j + s of the file is row h * 6 + 3s + j of the model.
    const inFile = [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11];
    const location = store(counting(24), 'F32', [12, 2], 6);
    const expected = inFile.flatMap((row) => [2 * row, 2 * row + 1]);
    for (const [start, count] of [
      [0, 12],
      [4, 3],
      [7, 1],
      [5, 7],
    ] as const) {
      assert.deepEqual(
        [...(await readRows(location, start, count))],
        expected.slice(2 * start, 2 * (start + count)),
      );
    }
    assert.deepEqual([...(await readRows(store(counting(12), 'F32', [12], 6), 0, 1))], inFile);
  });

  it('of a file that became shorter, and of types without weights, are refused', async () => {
    const location = store(counting(12), 'F32', [4, 3]);
    truncateSync(location.file, 40);
    await assert.rejects(readRows(location, 3, 1), /ends at byte 43, inside tensor "w": it was changed/);
    await assert.rejects(
      readRows(store(counting(1), 'I32', [1]), 0, 1),
      /element type I32, which holds no weights/,
    );
  });
});
