/**
 * Keys and values of all layers on the CPU. A cache is allocated once with room to grow: the runtime writes new keys
 * in place, because the buffers are given both as past and as present.
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
}

/** Bytes of a cache with this many positions in all rows together. */
export function keyValueBytes(config: ModelConfig, positions: number): number {
  return positions * config.numLayers * 2 * config.numKeyValueHeads * config.headDim * 4;
}

/** A cache of empty rows. */
export function allocateCache(config: ModelConfig, rows: number, capacity: number): KeyValueCache {
  const dims = [rows, config.numKeyValueHeads, capacity, config.headDim];
  const size = dims.reduce((a, b) => a * b, 1);
  const tensors = Array.from(
    { length: 2 * config.numLayers },
    () => new Tensor('float32', new Float32Array(size), dims),
  );
  return { rows, capacity, lengths: new Array<number>(rows).fill(0), tensors };
}

/** Copies rows of caches into one new cache, in the order given. */
export function gatherRows(
  config: ModelConfig,
  sources: readonly { cache: KeyValueCache; row: number; length?: number }[],
  capacity: number,
): KeyValueCache {
  const target = allocateCache(config, sources.length, capacity);
  const { numKeyValueHeads: heads, headDim } = config;
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
