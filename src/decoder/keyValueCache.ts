/**
 * Keys and values of all layers. A cache is allocated once with room to grow: on the CPU each pass puts out the new keys
 * and values alone, which are appended in place; on a GPU it puts out new buffers that take the place of the old.
 *
 * A cache has owners: whoever gets one owns it and must release it; `retain` adds an owner. When the last has released
 * it, its memory on a device is freed (memory of the CPU is the garbage collector's).
 */
import { Tensor } from 'onnxruntime-node';
import type { ModelConfig } from '../checkpoint/types.ts';

export interface KeyValueCache {
  /** Rows of the batch. */
  readonly rows: number;
  /** Positions that each row has room for. */
  readonly capacity: number;
  /** Valid positions of each row; what lies beyond is never read. */
  readonly lengths: number[];
  /** 2 * layer: keys, 2 * layer + 1: values; each (rows, keyValueHeads, capacity, headDim). */
  readonly tensors: Tensor[];
  owners: number;
}

/** Rows of one cache to copy: their first `length` positions, all of them by default. */
export interface CacheRow {
  cache: KeyValueCache;
  row: number;
  length?: number;
}

/** Where caches live. */
export interface CacheMemory {
  /** Bytes of one element of keys and values. */
  readonly elementBytes: number;
  /** A cache of empty rows. */
  allocate(rows: number, capacity: number): Promise<KeyValueCache>;
  /** A new cache made of rows of others, in the order given. */
  gather(sources: readonly CacheRow[], capacity: number): Promise<KeyValueCache>;
  dispose(): Promise<void>;
}

/** Adds an owner. */
export function retain(cache: KeyValueCache): KeyValueCache {
  cache.owners++;
  return cache;
}

/** Gives up one ownership; the last frees the cache. */
export function release(cache: KeyValueCache): void {
  if (cache.owners <= 0)
    throw new Error('A cache of keys and values was released more often than it was owned.');
  if (--cache.owners === 0) {
    for (const tensor of cache.tensors) if (tensor.location === 'gpu-buffer') tensor.dispose();
    cache.tensors.length = 0;
  }
}

/** Bytes of a cache with this many positions in all rows together. */
export function keyValueBytes(config: ModelConfig, positions: number, elementBytes = 4): number {
  return positions * config.numLayers * 2 * config.numKeyValueHeads * config.headDim * elementBytes;
}

/**
 * Appends new positions to a cache of the host; the caller sets its lengths.
 * @param news per tensor of the cache: (rows, keyValueHeads, sequence, headDim)
 */
export function appendToHost(
  { numKeyValueHeads: heads, headDim }: ModelConfig,
  cache: KeyValueCache,
  news: readonly Float32Array[],
  sequence: number,
): void {
  const size = sequence * headDim;
  for (const [index, tensor] of cache.tensors.entries()) {
    const to = tensor.data as Float32Array;
    const from = news[index]!;
    for (let row = 0; row < cache.rows; row++) {
      for (let head = 0; head < heads; head++) {
        const source = (row * heads + head) * size;
        const target = ((row * heads + head) * cache.capacity + cache.lengths[row]!) * headDim;
        to.set(from.subarray(source, source + size), target);
      }
    }
  }
}

/** Caches in float32 in the memory of the CPU. */
export class HostCacheMemory implements CacheMemory {
  readonly elementBytes = 4;
  private readonly config: ModelConfig;

  constructor(config: ModelConfig) {
    this.config = config;
  }

  allocate(rows: number, capacity: number): Promise<KeyValueCache> {
    const { config } = this;
    const dims = [rows, config.numKeyValueHeads, capacity, config.headDim];
    const size = dims.reduce((a, b) => a * b, 1);
    const tensors = Array.from(
      { length: 2 * config.numLayers },
      () => new Tensor('float32', new Float32Array(size), dims),
    );
    return Promise.resolve({
      rows,
      capacity,
      lengths: new Array<number>(rows).fill(0),
      tensors,
      owners: 1,
    });
  }

  async gather(sources: readonly CacheRow[], capacity: number): Promise<KeyValueCache> {
    const target = await this.allocate(sources.length, capacity);
    const { numKeyValueHeads: heads, headDim } = this.config;
    sources.forEach(({ cache, row, length = cache.lengths[row]! }, targetRow) => {
      target.lengths[targetRow] = length;
      for (const [index, tensor] of target.tensors.entries()) {
        const to = tensor.data as Float32Array;
        const from = cache.tensors[index]!.data as Float32Array;
        for (let head = 0; head < heads; head++) {
          const start = (row * heads + head) * cache.capacity * headDim;
          to.set(
            from.subarray(start, start + length * headDim),
            (targetRow * heads + head) * capacity * headDim,
          );
        }
      }
    });
    return target;
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }
}
