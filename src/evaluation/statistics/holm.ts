/** Holm's correction for a family of tests. */

/**
 * Adjusted p values by Holm's step-down method (Scandinavian Journal of Statistics 6, 1979): the i-th smallest of m is
 * multiplied by m - i + 1, none is smaller than the one before, none larger than 1. Rejecting what is at most alpha
 * keeps the probability of any false rejection in the family at alpha, whatever depends on what.
 * @returns in the order of the input
 */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, index) => index).sort((a, b) => pValues[a]! - pValues[b]!);
  const adjusted = new Array<number>(pValues.length);
  let least = 0;
  order.forEach((index, rank) => {
    least = Math.max(least, Math.min(1, pValues[index]! * (pValues.length - rank)));
    adjusted[index] = least;
  });
  return adjusted;
}
