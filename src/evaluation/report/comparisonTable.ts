/** Paired comparisons as rows of text, for terminals and reports. */
import type { PairedComparison } from '../statistics/pairedComparison.ts';
import { percent, probability } from './textTable.ts';

/** Columns on the left, which hold names. */
export const nameColumns = 3;

export const comparisonTitles: readonly string[] = [
  'Metric',
  'Variant',
  'Baseline',
  'Questions',
  'Difference',
  '95 %',
  'Won',
  'Lost',
  'p',
  'p (Holm)',
  'Detectable',
];

/** What the columns mean, in sentences. */
export const comparisonNote =
  'Difference: mean over the same questions less that of the baseline (of shares, in points of percent), with its 95 % ' +
  'interval by a paired bootstrap. Won and lost: questions with a higher and a lower value. p: exact McNemar test of ' +
  'right and wrong answers, sign-flip test of other numbers, two-sided; p (Holm) is corrected for all comparisons of the metric. ' +
  'Detectable: the smallest true difference that so many questions find in four of five cases at p = 0.05.';

/** Metrics whose values are shares; their differences are shown in points of percent. */
const shares: ReadonlySet<string> = new Set(['exactMatch', 'f1', 'precision', 'recall', 'accuracy']);

/** The cells of one comparison, in the order of the titles. */
export function comparisonCells(comparison: PairedComparison): string[] {
  const { metric, variant, baseline, items, won, lost, p, pHolm, difference, interval } = comparison;
  const { test, smallestDetectable } = comparison;
  const isShare = shares.has(metric) || test === 'mcnemar-exact';
  const number = (value: number): string => (isShare ? percent(value) : value.toPrecision(3));
  const signed = (value: number): string => {
    const text = number(value);
    return Number(text) === 0 ? number(0) : `${value > 0 ? '+' : ''}${text}`;
  };
  return [
    metric,
    variant,
    baseline,
    String(items),
    signed(difference),
    `${signed(interval[0])} to ${signed(interval[1])}`,
    String(won),
    String(lost),
    probability(p),
    probability(pHolm),
    smallestDetectable === null ? '-' : number(smallestDetectable),
  ];
}
