import type { Pooling } from './modelFolder.ts';

/**
 * One vector per text from the vectors of its tokens, of length 1.
 * @param hidden (texts, tokens, dimension), row-major
 * @param lengths how many tokens of each text are real; padding is on the right
 */
export function poolTokens(
  hidden: Float32Array,
  lengths: readonly number[],
  tokens: number,
  dimension: number,
  pooling: Pooling,
): Float32Array[] {
  return lengths.map((length, text) => {
    const token = (index: number) => {
      const start = (text * tokens + index) * dimension;
      return hidden.subarray(start, start + dimension);
    };
    if (pooling === 'cls') return normalised(token(0));
    if (pooling === 'lasttoken') return normalised(token(length - 1));
    const pooled = Float32Array.from(token(0));
    for (let index = 1; index < length; index++) {
      const vector = token(index);
      for (let i = 0; i < dimension; i++) {
        pooled[i] = pooling === 'max' ? Math.max(pooled[i]!, vector[i]!) : pooled[i]! + vector[i]!;
      }
    }
    return normalised(pooled); // The mean is the sum but for its length.
  });
}

/** The vector of length 1 in the same direction; a zero vector stays zero. */
export function normalised(vector: Float32Array): Float32Array {
  let sum = 0;
  for (const value of vector) sum += value * value;
  const length = Math.sqrt(sum);
  return length === 0 ? Float32Array.from(vector) : vector.map((value) => value / length);
}
