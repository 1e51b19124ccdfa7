/** The sign-flip test: a permutation test of paired differences. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { Resampling } from './bootstrap.ts';

/** Sums of other orders of addition must count as equal. */
const relativeTolerance = 1e-9;

/**
 * Two-sided p values of the means of several columns of differences. Under the null hypothesis a question's difference
 * has either sign with the same probability (Fisher, The Design of Experiments, section 21); p is the share of
 * assignments of signs whose sum is at least as far from 0 as the observed one. Where at most `resamples` assignments
 * of the differences that are not 0 exist, all are counted; else that many are drawn, and p = (found + 1) / (drawn + 1)
 * (Phipson and Smyth, 2010), which is never 0. Every draw takes the same signs in all columns.
 */
export function signFlipTests(columns: readonly Float64Array[], { resamples, seed }: Resampling): number[] {
  const tests = columns.map((column) => {
    const differences = column.filter((value) => value !== 0);
    const enumerable = 2 ** differences.length <= resamples;
    return { column, extreme: extremeSum(column), p: enumerable ? exactP(differences) : undefined, found: 0 };
  });
  const sampled = tests.filter(({ p }) => p === undefined);
  if (sampled.length > 0) {
    const random = xoroshiro128plus(seed);
    const signs = new Float64Array(columns[0]!.length);
    for (let resample = 0; resample < resamples; resample++) {
      for (let index = 0, bits = 0; index < signs.length; index++, bits >>>= 1) {
        if (index % 32 === 0) bits = random.next();
        signs[index] = (bits & 1) * 2 - 1;
      }
      for (const test of sampled) {
        let sum = 0;
        for (let index = 0; index < signs.length; index++) sum += signs[index]! * test.column[index]!;
        if (Math.abs(sum) >= test.extreme) test.found++;
      }
    }
  }
  return tests.map(({ p, found }) => p ?? (found + 1) / (resamples + 1));
}

/** The p over all assignments of signs. */
function exactP(differences: Float64Array): number {
  const extreme = extremeSum(differences);
  const assignments = 2 ** differences.length;
  let found = 0;
  for (let signs = 0; signs < assignments; signs++) {
    let sum = 0;
    differences.forEach((value, index) => (sum += (signs >>> index) & 1 ? value : -value));
    if (Math.abs(sum) >= extreme) found++;
  }
  return found / assignments;
}

/** From where on the absolute value of a sum counts as extreme as the observed one. */
function extremeSum(differences: Float64Array): number {
  const observed = differences.reduce((sum, value) => sum + value, 0);
  const largest = differences.reduce((sum, value) => sum + Math.abs(value), 0);
  return Math.abs(observed) - relativeTolerance * largest;
}
