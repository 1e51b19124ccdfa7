/**
 * Keys and values in the memory of the host, in blocks of positions. A sequence is the list of its blocks; a fork
 * shares those that are full and copies the one that is not. Blocks begin at the same positions in every sequence, so
 * that a sequence's answers have the same bits whatever shares or surrounds it (blockAttention.ts).
 */
import type { ModelConfig } from '../checkpoint/types.ts';
import { Tensor } from '../onnx/runtime.ts';
import { blockFeeds, type PassRow, type Write } from './blockPass.ts';
import { blockSize, BlockStore, type Block } from './blocks.ts';
import {
  keyValueNames,
  positionsOf,
  type BlockKind,
  type KeyValueMemory,
  type PastKeysAndValues,
  type Run,
  type Sequence,
} from './keyValueMemory.ts';
import { distinctRopes, rotaryDim } from './rope.ts';
import { RotaryTables, tableFeeds } from './rotaryTables.ts';

/**
 * Sequences that share a block at most, further ones copy it: a pass computes for every block as many rows as for the
 * one that most rows see.
 */
const mostReaders = 8;

/** The blocks of one comparison: those that are full, and those that still get positions. */
type Stores = Record<BlockKind, BlockStore>;

class HostSequence implements Sequence {
  readonly config: ModelConfig;
  readonly stores: Stores;
  readonly blocks: Block[] = [];
  length = 0;
  released = false;

  constructor(config: ModelConfig, stores: Stores) {
    this.config = config;
    this.stores = stores;
  }
}

/** A run whose new positions have their places. */
interface PlacedRun {
  sequence: HostSequence;
  /** Its first new position, and their number. */
  from: number;
  count: number;
  ropeLength: number;
}

export class HostKeyValues implements KeyValueMemory {
  readonly elementBytes = 4;
  readonly mixesSequences = true;
  readonly fewestRows: number;
  private readonly config: ModelConfig;
  private readonly tables: RotaryTables;
  /** What was placed for the passes that run. */
  private readonly placed = new WeakMap<readonly Run[], Write[]>();

  constructor(config: ModelConfig, fewestRows: number) {
    this.config = config;
    this.fewestRows = fewestRows;
    this.tables = new RotaryTables(config);
  }

  create(capacity: number, beside?: Sequence, expected = capacity): Promise<HostSequence> {
    const stores = beside
      ? hostSequence(beside).stores
      : {
          full: new BlockStore(this.config, Math.ceil(expected / blockSize)),
          open: new BlockStore(this.config, 1),
        };
    return Promise.resolve(new HostSequence(this.config, stores));
  }

  fork(source: Sequence, length: number): Promise<HostSequence> {
    const { blocks, stores } = existing(source, length);
    const fork = new HostSequence(this.config, stores);
    for (const { block, positions } of parts(blocks, length)) {
      fork.blocks.push(positions === blockSize ? share(block) : stores.open.addCopy(block, positions));
    }
    fork.length = length;
    return Promise.resolve(fork);
  }

  async copy(
    source: Sequence,
    length: number,
    capacity: number,
    beside?: Sequence,
    expected = capacity,
  ): Promise<HostSequence> {
    const { blocks } = existing(source, length);
    const target = await this.create(capacity, beside, expected);
    for (const { block, positions } of parts(blocks, length)) {
      const store = target.stores[positions === blockSize ? 'full' : 'open'];
      target.blocks.push(store.addCopy(block, positions));
    }
    target.length = length;
    return target;
  }

  release(source: Sequence): void {
    const sequence = hostSequence(source);
    if (sequence.released) throw new Error('A sequence was released more often than it was owned.');
    sequence.released = true;
    for (const block of sequence.blocks.splice(0)) block.store.release(block);
  }

  passes(runs: readonly Run[]): Run[][] {
    return [[...runs]];
  }

  /** See BlockAttention for what they are. */
  feeds(pass: readonly Run[]): Promise<Record<string, Tensor>> {
    const { config } = this;
    const { stores } = hostSequence(pass[0]!.sequence);
    const { runs, writes } = place(pass, config);
    this.placed.set(pass, writes);
    const rows = runs.flatMap(({ sequence: { blocks }, from, count }) =>
      Array.from({ length: count }, (_, i): PassRow => ({ position: from + i, blocks })),
    );
    const rowCount = Math.max(rows.length, this.fewestRows);
    return Promise.resolve({
      ...this.rotaryRows(runs, rowCount),
      ...blockFeeds(config, rows, rowCount, writes, stores),
    });
  }

  accept(pass: readonly Run[], results: Readonly<Record<string, Tensor>>): void {
    const { full, open } = hostSequence(pass[0]!.sequence).stores;
    const news = keyValueNames(this.config, 'new').map((name) => results[name]!.data as Float32Array);
    for (const { block, offset, row } of this.placed.get(pass)!) {
      open.write(block, offset, news, row);
      if (offset === blockSize - 1) full.take(block);
    }
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }

  /** A row of the tables for each new position, and zeros up to `rowCount`. */
  private rotaryRows(runs: readonly PlacedRun[], rowCount: number): Record<string, Tensor> {
    const rows = distinctRopes(this.config).map((rope) => {
      const halfDim = rotaryDim(this.config, rope) / 2;
      const size = rowCount * halfDim;
      return { cos: new Float32Array(size), sin: new Float32Array(size), positions: rowCount, halfDim };
    });
    let row = 0;
    for (const { from, count, ropeLength } of runs) {
      for (const [index, tables] of this.tables.get(from + count, ropeLength).entries()) {
        const { cos, sin, halfDim } = rows[index]!;
        const range = [from * halfDim, (from + count) * halfDim] as const;
        cos.set(tables.cos.subarray(...range), row * halfDim);
        sin.set(tables.sin.subarray(...range), row * halfDim);
      }
      row += count;
    }
    return tableFeeds(rows);
  }
}

/** Gives the new positions of a pass their places. */
function place(pass: readonly Run[], config: ModelConfig): { runs: PlacedRun[]; writes: Write[] } {
  const { stores } = hostSequence(pass[0]!.sequence);
  const writes: Write[] = [];
  const runs = pass.map((run) => {
    const sequence = hostSequence(run.sequence);
    if (sequence.stores !== stores) throw new Error('Sequences of two storages in one pass.');
    const { length: from, blocks } = sequence;
    const count = positionsOf(run, config);
    for (let position = from; position < from + count; position++) {
      const offset = position % blockSize;
      if (offset === 0) blocks.push(stores.open.add());
      writes.push({ block: blocks.at(-1)!, offset, row: writes.length });
    }
    sequence.length = from + count;
    return { sequence, from, count, ropeLength: run.ropeLength };
  });
  return { runs, writes };
}

/** A full block for one more sequence. */
function share(block: Block): Block {
  if (block.readers >= mostReaders) return block.store.addCopy(block, blockSize);
  block.readers++;
  return block;
}

/** The blocks of a sequence's first positions, with the number of these positions in each. */
function parts(blocks: readonly Block[], length: number): { block: Block; positions: number }[] {
  return blocks
    .slice(0, Math.ceil(length / blockSize))
    .map((block, number) => ({ block, positions: Math.min(blockSize, length - number * blockSize) }));
}

/** @throws Error if the sequence is released, or shorter than that */
function existing(source: Sequence, length: number): HostSequence {
  const sequence = hostSequence(source);
  if (sequence.released || sequence.length < length) throw new Error('The sequence has no such positions.');
  return sequence;
}

function hostSequence(sequence: Sequence): HostSequence {
  if (sequence instanceof HostSequence) return sequence;
  throw new Error('The sequence lies in the memory of another device.');
}

/** A copy of the keys and values of a sequence of the host. */
export function keysAndValuesOf(source: Sequence): PastKeysAndValues {
  const { config, length, blocks } = hostSequence(source);
  const width = config.numKeyValueHeads * config.headDim;
  const arrays = keyValueNames(config, 'new').map(() => new Float32Array(length * width));
  parts(blocks, length).forEach(({ block, positions }, number) =>
    block.store.read(block, positions, arrays, number * blockSize),
  );
  return { length, arrays };
}
