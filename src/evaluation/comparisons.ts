/** The paired comparisons of an experiment's own conditions. */
import type { Prediction } from './predictions.ts';
import { defaultResampling } from './statistics/bootstrap.ts';
import { comparePaired, type PairedComparison } from './statistics/pairedComparison.ts';
import { scoreTable } from './statistics/scoreTable.ts';

/**
 * Every condition against the baseline (comparePaired says which that is) in exact match, F1 and accuracy; none where
 * there is nothing to compare.
 */
export function compareConditions(predictions: readonly Prediction[]): PairedComparison[] {
  const variants = new Set(predictions.map(({ variant }) => variant));
  if (variants.size < 2) return [];
  const answers = predictions.map(({ item, variant, passages, exactMatch, f1, accuracy }) => ({
    item,
    variant,
    passages,
    scores: { exactMatch, f1, accuracy },
    where: 'An answer',
  }));
  return comparePaired(scoreTable([{ name: 'this experiment', answers }]), defaultResampling);
}
