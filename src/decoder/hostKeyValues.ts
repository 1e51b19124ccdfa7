/**
 * Keys and values in the memory of the host. All sequences of a comparison lie in one storage, a list of slots to which
 * every pass appends, and a sequence is the list of its slots: forking copies nothing, and passages that variants share
 * are read once for all of them. Each position sees its own sequence's slots, by a mask.
 */
import { Tensor } from '../onnx/runtime.ts';
import type { ModelConfig } from '../checkpoint/types.ts';
import {
  biasName,
  keyValueNames,
  positionsOf,
  type KeyValueMemory,
  type PastKeysAndValues,
  type Run,
  type Sequence,
} from './keyValueMemory.ts';
import { distinctRopes, rotaryDim } from './rope.ts';
import { RotaryTables, tableFeeds } from './rotaryTables.ts';

/** Growth of a storage that is full: growing copies it. */
const growth = 1.5;

class Storage {
  used = 0;
  private readonly width: number;
  private arrays: Float32Array[];

  constructor(config: ModelConfig, capacity: number) {
    this.width = config.numKeyValueHeads * config.headDim;
    this.arrays = keyValueNames(config, 'past').map(() => new Float32Array(capacity * this.width));
  }

  /** Per layer keys, then values: (used, keyValueHeads * headDim), valid until something is appended. */
  views(): Float32Array[] {
    return this.arrays.map((array) => array.subarray(0, this.used * this.width));
  }

  /** @param news as `views`, (slots, keyValueHeads * headDim) */
  append(news: readonly Float32Array[]): void {
    const end = this.used + news[0]!.length / this.width;
    this.reserve(end);
    news.forEach((data, index) => this.arrays[index]!.set(data, this.used * this.width));
    this.used = end;
  }

  /** Appends slots of another storage. */
  appendFrom(source: Storage, slots: readonly number[]): void {
    this.reserve(this.used + slots.length);
    for (let first = 0; first < slots.length;) {
      let end = first + 1;
      while (end < slots.length && slots[end] === slots[end - 1]! + 1) end++;
      const [from, to] = [slots[first]! * this.width, (slots[end - 1]! + 1) * this.width];
      source.arrays.forEach((data, index) =>
        this.arrays[index]!.set(data.subarray(from, to), this.used * this.width),
      );
      this.used += end - first;
      first = end;
    }
  }

  private reserve(slots: number): void {
    if (slots * this.width <= this.arrays[0]!.length) return;
    const capacity = Math.max(slots, Math.ceil((growth * this.arrays[0]!.length) / this.width));
    this.arrays = this.arrays.map((array) => {
      const larger = new Float32Array(capacity * this.width);
      larger.set(array.subarray(0, this.used * this.width));
      return larger;
    });
  }
}

class HostSequence implements Sequence {
  readonly storage: Storage;
  private readonly parent: HostSequence | undefined;
  /** Positions taken from the parent; they may come to be after the fork. */
  private readonly start: number;
  private readonly own: number[] = [];

  constructor(storage: Storage, parent?: HostSequence, start = 0) {
    this.storage = storage;
    this.parent = parent;
    this.start = start;
  }

  get length(): number {
    return this.start + this.own.length;
  }

  /** The slot of each position. */
  slots(length = this.length): number[] {
    const shared = this.parent?.slots(Math.min(length, this.start)) ?? [];
    return [...shared, ...this.own.slice(0, Math.max(0, length - this.start))];
  }

  extend(firstSlot: number, count: number): void {
    for (let i = 0; i < count; i++) this.own.push(firstSlot + i);
  }
}

/** A run whose new positions have their slots. */
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
  private readonly config: ModelConfig;
  private readonly tables: RotaryTables;

  constructor(config: ModelConfig) {
    this.config = config;
    this.tables = new RotaryTables(config);
  }

  create(capacity: number, beside?: Sequence): Promise<HostSequence> {
    const storage = beside ? hostSequence(beside).storage : new Storage(this.config, capacity);
    return Promise.resolve(new HostSequence(storage));
  }

  fork(source: Sequence, length: number): Promise<HostSequence> {
    const parent = hostSequence(source);
    return Promise.resolve(new HostSequence(parent.storage, parent, length));
  }

  async copy(source: Sequence, length: number, capacity: number, beside?: Sequence): Promise<HostSequence> {
    const from = hostSequence(source);
    const target = await this.create(capacity, beside);
    target.extend(target.storage.used, length);
    target.storage.appendFrom(from.storage, from.slots(length));
    return target;
  }

  release(): void {
    // the garbage collector's
  }

  passes(runs: readonly Run[]): Run[][] {
    return [[...runs]];
  }

  /** See SlotAttention for what they are. */
  feeds(pass: readonly Run[]): Promise<Record<string, Tensor>> {
    const { config } = this;
    const { storage } = hostSequence(pass[0]!.sequence);
    const past = storage.used;
    const placed = place(pass, config);
    const total = past + placed.reduce((sum, { count }) => sum + count, 0);
    const feeds = this.rotaryRows(placed, total - past);
    for (const window of new Set(config.slidingWindows)) {
      feeds[biasName(window)] = new Tensor('float32', bias(placed, past, total, window), [
        total - past,
        total,
      ]);
    }
    const names = keyValueNames(config, 'past');
    const dims = [past, config.numKeyValueHeads, config.headDim];
    storage.views().forEach((view, index) => (feeds[names[index]!] = new Tensor('float32', view, dims)));
    return Promise.resolve(feeds);
  }

  accept(pass: readonly Run[], results: Readonly<Record<string, Tensor>>): void {
    const news = keyValueNames(this.config, 'new').map((name) => results[name]!.data as Float32Array);
    hostSequence(pass[0]!.sequence).storage.append(news);
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }

  /** A row of the tables for each new position. */
  private rotaryRows(runs: readonly PlacedRun[], positions: number): Record<string, Tensor> {
    const rows = distinctRopes(this.config).map((rope) => {
      const halfDim = rotaryDim(this.config, rope) / 2;
      const size = positions * halfDim;
      return { cos: new Float32Array(size), sin: new Float32Array(size), positions, halfDim };
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

/** Gives the new positions of a pass their slots: those behind the used ones, in the order of the runs. */
function place(pass: readonly Run[], config: ModelConfig): PlacedRun[] {
  const { storage } = hostSequence(pass[0]!.sequence);
  let slot = storage.used;
  return pass.map((run) => {
    const sequence = hostSequence(run.sequence);
    if (sequence.storage !== storage) throw new Error('Sequences of two storages in one pass.');
    const { length: from } = sequence;
    const count = positionsOf(run, config);
    sequence.extend(slot, count);
    slot += count;
    return { sequence, from, count, ropeLength: run.ropeLength };
  });
}

/** (total - past, total): 0 where a new position sees a slot, else -Infinity. */
function bias(runs: readonly PlacedRun[], past: number, total: number, window: number | null): Float32Array {
  const values = new Float32Array((total - past) * total).fill(-Infinity);
  let row = 0;
  for (const { sequence, from, count } of runs) {
    const slots = sequence.slots();
    for (let position = from; position < from + count; position++, row++) {
      const first = window === null ? 0 : Math.max(0, position - window + 1);
      for (let seen = first; seen <= position; seen++) values[row * total + slots[seen]!] = 0;
    }
  }
  return values;
}

function hostSequence(sequence: Sequence): HostSequence {
  if (sequence instanceof HostSequence) return sequence;
  throw new Error('The sequence lies in the memory of another device.');
}

/**
 * The keys and values of a sequence of the host that is alone in its storage.
 * @throws Error if it is not
 */
export function keysAndValuesOf(sequence: Sequence): PastKeysAndValues {
  const { storage, length } = hostSequence(sequence);
  if (storage.used !== length) throw new Error('The storage holds more than this sequence.');
  return { length, arrays: storage.views() };
}
