/**
 * Memory of keys and values in blocks of a fixed number of positions. A store has no holes: what is removed gives its
 * place to the last, so that most passes read the store where it lies.
 */
import type { ModelConfig } from '../checkpoint/types.ts';

/**
 * Positions of a block. Up to this length the runtime's products sum in one order for any number of rows and threads
 * (MLAS, sgemm.cpp: the stride along K follows from the number of columns), which the answers' bits rest on.
 */
export const blockSize = 64;

/** Growth of a store that is full: growing copies it. */
const growth = 2;

/** A block, wherever it lies. */
export interface Block {
  store: BlockStore;
  /** Its place in the store. */
  index: number;
  /** Sequences that have it. */
  readers: number;
}

export class BlockStore {
  private readonly heads: number;
  private readonly headDim: number;
  /** Elements of a block in one array. */
  private readonly size: number;
  private readonly blocks: Block[] = [];
  private arrays: Float32Array[];

  /** @param capacity blocks that it is expected to get */
  constructor({ numLayers, numKeyValueHeads, headDim }: ModelConfig, capacity: number) {
    this.heads = numKeyValueHeads;
    this.headDim = headDim;
    this.size = numKeyValueHeads * blockSize * headDim;
    const length = Math.max(1, capacity) * this.size;
    this.arrays = Array.from({ length: 2 * numLayers }, () => new Float32Array(length));
  }

  get length(): number {
    return this.blocks.length;
  }

  /** A new block of zeros, with one reader. */
  add(): Block {
    const block = { store: this, index: 0, readers: 1 };
    this.place(block);
    return block;
  }

  /** A new block, with one reader, that begins with the first positions of another; the rest is zeros. */
  addCopy(source: Block, positions: number): Block {
    const copy = this.add();
    this.fill(copy, source.store, source.index, positions);
    return copy;
  }

  /** Takes a whole block from another store. */
  take(block: Block): void {
    const { store: source, index } = block;
    this.place(block);
    this.fill(block, source, index, blockSize);
    source.vacate(index);
  }

  /** One reader less; without any the block is removed. */
  release(block: Block): void {
    if (--block.readers === 0) this.vacate(block.index);
  }

  /** Per layer keys, then values, of these blocks: (blocks, keyValueHeads, blockSize, headDim), valid until a change. */
  view(first: number, end: number): Float32Array[] {
    return this.arrays.map((array) => array.subarray(first * this.size, end * this.size));
  }

  /** The same of blocks that do not lie in a row, as copies. */
  gather(blocks: readonly Block[]): Float32Array[] {
    return this.arrays.map((array) => {
      const copy = new Float32Array(blocks.length * this.size);
      blocks.forEach(({ index }, i) =>
        copy.set(array.subarray(index * this.size, (index + 1) * this.size), i * this.size),
      );
      return copy;
    });
  }

  /**
   * Sets a position of a block.
   * @param news per layer keys, then values: (rows, keyValueHeads, headDim)
   */
  write(block: Block, offset: number, news: readonly Float32Array[], row: number): void {
    const { heads, headDim } = this;
    for (const [number, array] of this.arrays.entries()) {
      const source = news[number]!;
      for (let head = 0; head < heads; head++) {
        const from = (row * heads + head) * headDim;
        const to = this.start(block, head, offset);
        for (let i = 0; i < headDim; i++) array[to + i] = source[from + i]!;
      }
    }
  }

  /**
   * Copies the first positions of a block out.
   * @param target as `write` has them, from this row on
   */
  read(block: Block, positions: number, target: readonly Float32Array[], row: number): void {
    const { heads, headDim } = this;
    for (const [number, array] of this.arrays.entries()) {
      for (let head = 0; head < heads; head++) {
        for (let offset = 0; offset < positions; offset++) {
          const from = this.start(block, head, offset);
          target[number]!.set(
            array.subarray(from, from + headDim),
            ((row + offset) * heads + head) * headDim,
          );
        }
      }
    }
  }

  /** Where a position of a head begins in the arrays. */
  private start({ index }: Block, head: number, offset: number): number {
    return index * this.size + (head * blockSize + offset) * this.headDim;
  }

  private place(block: Block): void {
    block.store = this;
    block.index = this.blocks.push(block) - 1;
    this.reserve(this.blocks.length);
    const [from, to] = [block.index * this.size, (block.index + 1) * this.size];
    for (const array of this.arrays) array.fill(0, from, to);
  }

  private fill(block: Block, source: BlockStore, index: number, positions: number): void {
    const length = positions * this.headDim;
    for (const [number, array] of this.arrays.entries()) {
      for (let head = 0; head < this.heads; head++) {
        const from = index * this.size + head * blockSize * this.headDim;
        array.set(source.arrays[number]!.subarray(from, from + length), this.start(block, head, 0));
      }
    }
  }

  /** Frees a place, and moves the last block there. */
  private vacate(index: number): void {
    const last = this.blocks.pop()!;
    if (index === this.blocks.length) return;
    const from = this.blocks.length * this.size;
    for (const array of this.arrays) array.copyWithin(index * this.size, from, from + this.size);
    last.index = index;
    this.blocks[index] = last;
  }

  private reserve(blocks: number): void {
    const { size } = this;
    if (blocks * size <= this.arrays[0]!.length) return;
    const capacity = Math.max(blocks, Math.ceil((growth * this.arrays[0]!.length) / size));
    this.arrays = this.arrays.map((array) => {
      const larger = new Float32Array(capacity * size);
      larger.set(array);
      return larger;
    });
  }
}
