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
  blocks: Block[] = [];
  released = false;
  /** Where it begins, while that has not come to be. */
  origin: { sequence: HostSequence; length: number } | undefined;
  private positions = 0;

  constructor(config: ModelConfig, stores: Stores) {
    this.config = config;
    this.stores = stores;
  }

  get length(): number {
    return this.origin?.length ?? this.positions;
  }

  set length(positions: number) {
    this.positions = positions;
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

/** The places of a pass's new positions, by block. */
type Writes = Map<Block, Write[]>;

export class HostKeyValues implements KeyValueMemory {
  readonly elementBytes = 4;
  readonly mixesSequences = true;
  readonly fewestRows = 2;
  private readonly config: ModelConfig;
  private readonly tables: RotaryTables;
  /** What was placed for the passes that run. */
  private readonly placed = new WeakMap<readonly Run[], Writes>();

  constructor(config: ModelConfig) {
    this.config = config;
    this.tables = new RotaryTables(config);
  }

  create(capacity: number, beside?: Sequence): Promise<HostSequence> {
    const stores = beside
      ? hostSequence(beside).stores
      : { full: new BlockStore(this.config, Math.ceil(capacity / blockSize)), open: new BlockStore(this.config, 1) };
    return Promise.resolve(new HostSequence(this.config, stores));
  }

  fork(source: Sequence, length: number): Promise<HostSequence> {
    const sequence = hostSequence(source);
    const fork = new HostSequence(this.config, sequence.stores);
    fork.origin = { sequence, length };
    if (!sequence.origin && sequence.length >= length) begin(fork, new Map());
    return Promise.resolve(fork);
  }

  async copy(source: Sequence, length: number, capacity: number, beside?: Sequence): Promise<HostSequence> {
    const { blocks } = hostSequence(source);
    const target = await this.create(capacity, beside);
    for (let start = 0; start < length; start += blockSize) {
      const positions = Math.min(blockSize, length - start);
      const store = target.stores[positions === blockSize ? 'full' : 'open'];
      target.blocks.push(store.addCopy(blocks[start / blockSize]!, positions));
    }
    target.length = length;
    return target;
  }

  release(source: Sequence): void {
    const sequence = hostSequence(source);
    if (sequence.released) throw new Error('A sequence was released more often than it was owned.');
    sequence.released = true;
    for (const block of sequence.blocks) block.store.release(block);
    sequence.blocks = [];
  }

  passes(runs: readonly Run[]): Run[][] {
    return [[...runs]];
  }

  /** See BlockAttention for what they are. */
  feeds(pass: readonly Run[]): Promise<Record<string, Tensor>> {
    const { config } = this;
    const { stores } = hostSequence(pass[0]!.sequence);
    const writes: Writes = new Map();
    const runs = place(pass, config, writes);
    this.placed.set(pass, writes);
    const rows = runs.flatMap(({ sequence: { blocks }, from, count }) =>
      Array.from({ length: count }, (_, i): PassRow => ({ position: from + i, blocks })),
    );
    const rowCount = Math.max(rows.length, this.fewestRows);
    return Promise.resolve({
      ...this.rotaryRows(runs, rowCount),
      ...blockFeeds(config, rows, rowCount, [...writes.values()].flat(), stores),
    });
  }

  accept(pass: readonly Run[], results: Readonly<Record<string, Tensor>>): void {
    const { full, open } = hostSequence(pass[0]!.sequence).stores;
    const news = keyValueNames(this.config, 'new').map((name) => results[name]!.data as Float32Array);
    for (const [block, writes] of this.placed.get(pass)!) {
      for (const { offset, row } of writes) open.write(block, offset, news, row);
      if (writes.some(({ offset }) => offset === blockSize - 1)) full.take(block);
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
function place(pass: readonly Run[], config: ModelConfig, writes: Writes): PlacedRun[] {
  const { stores } = hostSequence(pass[0]!.sequence);
  let row = 0;
  return pass.map((run) => {
    const sequence = hostSequence(run.sequence);
    if (sequence.stores !== stores) throw new Error('Sequences of two storages in one pass.');
    begin(sequence, writes);
    const { length: from, blocks } = sequence;
    const count = positionsOf(run, config);
    for (let position = from; position < from + count; position++, row++) {
      const offset = position % blockSize;
      if (offset === 0) blocks.push(stores.open.add());
      write(writes, { block: blocks.at(-1)!, offset, row });
    }
    sequence.length = from + count;
    return { sequence, from, count, ropeLength: run.ropeLength };
  });
}

/** Makes a fork the sequence that it is, now that its source has the positions; some may be of the pass that is placed. */
function begin(fork: HostSequence, writes: Writes): void {
  if (!fork.origin) return;
  const { sequence: source, length } = fork.origin;
  begin(source, writes);
  if (source.length < length || source.released) throw new Error('A sequence was forked from one that is gone.');
  fork.origin = undefined;
  fork.length = length;
  const whole = Math.floor(length / blockSize);
  fork.blocks = source.blocks.slice(0, whole).map((block) => share(block, writes));
  if (length % blockSize > 0) {
    fork.blocks.push(copyBlock(source.blocks[whole]!, length % blockSize, fork.stores.open, writes));
  }
}

function share(block: Block, writes: Writes): Block {
  if (block.readers >= mostReaders) return copyBlock(block, blockSize, block.store, writes);
  block.readers++;
  return block;
}

/** The first positions of a block, those included that the pass to come brings. */
function copyBlock(source: Block, positions: number, store: BlockStore, writes: Writes): Block {
  const copy = store.addCopy(source, positions);
  for (const { offset, row } of writes.get(source) ?? []) {
    if (offset < positions) write(writes, { block: copy, offset, row });
  }
  return copy;
}

function write(writes: Writes, entry: Write): void {
  const known = writes.get(entry.block);
  if (known) known.push(entry);
  else writes.set(entry.block, [entry]);
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
  blocks.forEach((block, number) => {
    const start = number * blockSize;
    block.store.read(block, Math.min(blockSize, length - start), arrays, start);
  });
  return { length, arrays };
}
