/** Bootstrap intervals of means: the questions are drawn again, with replacement, and the mean is taken of each draw. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

export type Interval = [low: number, high: number];

export interface Resampling {
  /** How often the questions are drawn again, or signs are flipped. */
  resamples: number;
  seed: number;
}

export const defaultResampling: Resampling = { resamples: 10_000, seed: 0 };

/**
 * 95 % percentile intervals (Efron and Tibshirani, An Introduction to the Bootstrap, section 13.3) of the means of
 * several columns. All columns have one value for each question, and every draw takes the same questions of all, so a
 * column's interval does not depend on the others. For paired comparisons the columns are differences.
 * @param columns of one length; empty columns give [0, 0]
 */
export function bootstrapIntervals(
  columns: readonly Float64Array[],
  { resamples, seed }: Resampling,
): Interval[] {
  const items = columns[0]?.length ?? 0;
  if (items === 0) return columns.map(() => [0, 0]);
  const random = xoroshiro128plus(seed);
  const means = columns.map(() => new Float64Array(resamples));
  const drawn = new Float64Array(items);
  for (let resample = 0; resample < resamples; resample++) {
    drawn.fill(0);
    for (let draw = 0; draw < items; draw++) drawn[uniformInt(random, 0, items - 1)]! += 1;
    columns.forEach((column, index) => (means[index]![resample] = dot(drawn, column) / items));
  }
  return means.map((values) => {
    values.sort();
    return [quantile(values, 0.025), quantile(values, 0.975)];
  });
}

/** Between two values the quantile is interpolated linearly, as numpy does by default. */
function quantile(sorted: Float64Array, share: number): number {
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below]!;
  return low + (position - below) * ((sorted[below + 1] ?? low) - low);
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let index = 0; index < a.length; index++) sum += a[index]! * b[index]!;
  return sum;
}
