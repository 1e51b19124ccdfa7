/** Paired comparisons of conditions with a baseline: difference, interval, test, correction, for every metric. */
import { UserError } from '../../protocol/errors.ts';
import { bootstrapIntervals, type Interval, type Resampling } from './bootstrap.ts';
import { smallestDetectable } from './detectable.ts';
import { holm } from './holm.ts';
import { exactMcNemar } from './mcnemar.ts';
import type { ScoredCondition, ScoreTable } from './scoreTable.ts';
import { signFlipTests } from './signFlip.ts';

export interface PairedComparison {
  baseline: string;
  variant: string;
  metric: string;
  /** Questions. */
  items: number;
  /** Mean of the variant less mean of the baseline. */
  difference: number;
  /** 95 %, by a paired bootstrap. */
  interval: Interval;
  /** Two-sided. */
  p: number;
  /** Corrected over the family: all comparisons of this metric. */
  pHolm: number;
  /** Questions with a higher value than the baseline's. */
  won: number;
  /** Questions with a lower one. */
  lost: number;
  test: 'mcnemar-exact' | 'sign-flip';
  /** The smallest true difference that so many questions find in four of five cases (detectable.ts). */
  smallestDetectable: number | null;
}

interface Pair {
  baseline: ScoredCondition;
  variant: ScoredCondition;
}

/**
 * Compares every condition with the baseline. Metrics whose values are all 0 or 1 are tested by McNemar's exact test,
 * others by sign flips.
 * @param baseline a condition's id; or a variant's name, which stands for its condition with as many passages as the
 *   condition that is compared with it has, or else with the most. Default: the variant `baseline`, or else the first
 * @returns metric by metric, in the order of the conditions
 * @throws UserError for an unknown baseline, or if there is nothing to compare with it
 */
export function comparePaired(
  table: ScoreTable,
  resampling: Resampling,
  baseline?: string,
): PairedComparison[] {
  const pairs = pairUp(table.conditions, baseline);
  const families = table.metrics.map((metric) => ({
    metric,
    isBinary: table.conditions.every(({ scores }) =>
      scores.get(metric)!.every((value) => value === 0 || value === 1),
    ),
    columns: pairs.map((pair) => differencesOf(pair, metric)),
  }));
  const intervals = bootstrapIntervals(
    families.flatMap(({ columns }) => columns),
    resampling,
  );
  const flipped = signFlipTests(
    families.flatMap(({ isBinary, columns }) => (isBinary ? [] : columns)),
    resampling,
  );
  return families.flatMap(({ metric, isBinary, columns }) => {
    const counts = columns.map((differences) => ({
      won: differences.filter((value) => value > 0).length,
      lost: differences.filter((value) => value < 0).length,
    }));
    const pValues = isBinary
      ? counts.map(({ won, lost }) => exactMcNemar(won, lost))
      : flipped.splice(0, columns.length);
    const corrected = holm(pValues);
    const familyIntervals = intervals.splice(0, columns.length);
    return columns.map((differences, index) => ({
      baseline: pairs[index]!.baseline.id,
      variant: pairs[index]!.variant.id,
      metric,
      items: differences.length,
      difference: differences.reduce((sum, value) => sum + value, 0) / differences.length,
      interval: familyIntervals[index]!,
      p: pValues[index]!,
      pHolm: corrected[index]!,
      ...counts[index]!,
      test: isBinary ? ('mcnemar-exact' as const) : ('sign-flip' as const),
      smallestDetectable: smallestDetectable(differences, isBinary) ?? null,
    }));
  });
}

function pairUp(conditions: readonly ScoredCondition[], wanted?: string): Pair[] {
  const name =
    wanted ?? (conditions.some(({ variant }) => variant === 'baseline') ? 'baseline' : conditions[0]!.id);
  const named = conditions.find(({ id }) => id === name);
  const ofVariant = conditions.filter(({ variant }) => variant === name);
  const candidates = named ? [named] : ofVariant;
  if (candidates.length === 0) {
    throw new UserError(
      `There is no condition "${name}" to compare with: the answers are those of ${conditions.map(({ id }) => id).join(', ')}.`,
    );
  }
  const most = candidates.reduce((a, b) => ((b.passages ?? 0) > (a.passages ?? 0) ? b : a));
  const pairs = conditions
    .filter((condition) => !candidates.includes(condition))
    .map((variant) => ({
      baseline: candidates.find(({ passages }) => passages === variant.passages) ?? most,
      variant,
    }));
  if (pairs.length > 0) return pairs;
  throw new UserError(
    `Beside "${name}" there is no condition to compare: expected the answers of at least two.`,
  );
}

function differencesOf({ baseline, variant }: Pair, metric: string): Float64Array {
  const before = baseline.scores.get(metric)!;
  return variant.scores.get(metric)!.map((value, index) => value - before[index]!);
}
