/**
 * Random numbers of a training run. Each decision has its own stream, addressed by the seed and what is decided, so
 * that a resumed run draws what the uninterrupted one would have drawn without any state to save.
 */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';

const purposes = { order: 1, virtualTokens: 2, passages: 3, initialRows: 4, validation: 5 } as const;
export type Purpose = keyof typeof purposes;

/** The stream of a decision: for example (seed, 'order', epoch). */
export function randomStream(seed: number, purpose: Purpose, ...indices: readonly number[]): RandomGenerator {
  const mixed = [purposes[purpose], ...indices].reduce(mix, seed | 0);
  return xoroshiro128plus(mixed);
}

/** A whole number from `from` to `to`, both included. */
export function drawInteger(stream: RandomGenerator, from: number, to: number): number {
  return uniformInt(stream, from, to);
}

/** A shuffled copy (Fisher and Yates). */
export function shuffled<T>(stream: RandomGenerator, items: readonly T[]): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = drawInteger(stream, 0, i);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

/** A normally distributed number of mean 0 and standard deviation 1 (Box and Muller). */
export function drawNormal(stream: RandomGenerator): number {
  const uniform = (): number => ((stream.next() >>> 0) + 1) / 2 ** 32; // in (0, 1]
  return Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** Spreads nearby inputs over all 32-bit numbers (the finalizer of MurmurHash3). */
function mix(state: number, value: number): number {
  let hash = Math.imul(state ^ (value + 0x9e3779b9), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
