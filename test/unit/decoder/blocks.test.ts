import assert from 'node:assert/strict';
import type { ModelConfig } from '../../../src/checkpoint/types.ts';
import { blockSize, BlockStore, type Block } from '../../../src/decoder/blocks.ts';

const config = { numLayers: 1, numKeyValueHeads: 2, headDim: 3 } as ModelConfig;
const width = config.numKeyValueHeads * config.headDim;

/** One row of keys and one of values, told apart by a number. */
const row = (number: number): Float32Array[] =>
  [0, 0.5].map((kind) => Float32Array.from({ length: width }, (_, i) => 10 * number + i + kind));
const write = (block: Block, offset: number, number: number): void =>
  block.store.write(block, offset, row(number), 0);
const read = (block: Block, positions: number): Float32Array[] => {
  const target = [0, 1].map(() => new Float32Array(positions * width));
  block.store.read(block, positions, target, 0);
  return target;
};
const rows = (...numbers: (number | null)[]): Float32Array[] =>
  [0, 1].map((kind) =>
    Float32Array.from(
      numbers.flatMap((number) => (number === null ? Array<number>(width).fill(0) : [...row(number)[kind]!])),
    ),
  );

describe('stores of blocks', () => {
  it('give back positions as they were written, behind the growth of the store', () => {
    const store = new BlockStore(config, 1);
    const blocks = Array.from({ length: 9 }, () => store.add());
    blocks.forEach((block, number) => write(block, 1, number));
    blocks.forEach((block, number) => assert.deepEqual(read(block, 2), rows(null, number)));
    // (keyValueHeads, blockSize, headDim)
    const [keys, values] = store.view(4, 5);
    assert.deepEqual(keys!.slice(3, 6), row(4)[0]!.slice(0, 3));
    assert.deepEqual(keys!.slice(3 * blockSize + 3, 3 * blockSize + 6), row(4)[0]!.slice(3));
    assert.deepEqual(values!.slice(3, 6), row(4)[1]!.slice(0, 3));
    const [gathered] = store.gather([blocks[7]!, blocks[2]!]);
    assert.deepEqual(gathered!.slice(3, 6), row(7)[0]!.slice(0, 3));
    assert.equal(gathered!.length, 2 * keys!.length);
  });

  it('have no holes, and new blocks are zeros', () => {
    const store = new BlockStore(config, 4);
    const blocks = Array.from({ length: 5 }, () => store.add());
    blocks.forEach((block, number) => write(block, 0, number));
    for (const number of [1, 4, 0]) store.release(blocks[number]!);
    assert.equal(store.length, 2);
    assert.deepEqual([blocks[2]!.index, blocks[3]!.index].toSorted(), [0, 1]);
    for (const number of [2, 3]) assert.deepEqual(read(blocks[number]!, 1), rows(number));
    assert.deepEqual(read(store.add(), 1), rows(null));
  });

  it('keep a block until its last reader has left', () => {
    const store = new BlockStore(config, 1);
    const block = store.add();
    block.readers++;
    store.release(block);
    assert.equal(store.length, 1);
    store.release(block);
    assert.equal(store.length, 0);
  });

  it('take blocks from each other, and copy their beginnings', () => {
    const [open, full] = [new BlockStore(config, 1), new BlockStore(config, 1)];
    const blocks = [open.add(), open.add(), open.add()];
    for (let offset = 0; offset < blockSize; offset++)
      blocks.forEach((block, i) => write(block, offset, 100 * i + offset));
    full.take(blocks[0]!);
    full.take(blocks[2]!);
    assert.deepEqual([open.length, full.length, blocks[1]!.index], [1, 2, 0]);
    for (const [i, block] of blocks.entries()) {
      const numbers = Array.from({ length: blockSize }, (_, offset) => 100 * i + offset);
      assert.deepEqual(read(block, blockSize), rows(...numbers));
    }
    assert.deepEqual(read(open.addCopy(blocks[2]!, 2), 4), rows(200, 201, null, null));
  });
});
