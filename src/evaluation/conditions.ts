/** What an experiment compares: a variant of the prompt at a number of passages. */
import type { VariantId } from '../protocol/comparison.ts';
import { UserError } from '../protocol/errors.ts';
import { adapterOf, parseVariants, showsPassages, virtualTokenCount } from './variants.ts';

export interface Condition {
  variant: VariantId;
  /** Virtual tokens in the prompt. */
  k: number;
  /** Passages in the prompt at most; an item may have fewer. */
  passages: number;
}

/**
 * All conditions of an experiment, in the order asked for: `spring` and `spring+prag` without a number stand for every k.
 * A variant that shows no passages is asked once, whatever the numbers of passages.
 * @param variants such as `no-rag,baseline,spring,spring:50`
 * @param tokenCounts the values of k for `spring`
 * @throws UserError for a name that is none, or nothing to compare
 */
export function expandConditions(
  variants: string,
  tokenCounts: readonly number[],
  passageCounts: readonly number[],
): Condition[] {
  const names = variants
    .split(',')
    .map((name) => name.trim())
    .flatMap((name) => {
      const everyCount = /^spring(\+prag)?$/.exec(name);
      return everyCount ? tokenCounts.map((k) => `spring:${k}${everyCount[1] ?? ''}`) : [name];
    });
  const ids = parseVariants(names.join(','));
  if (ids.length === 0) throw new UserError('No variant is chosen: take at least one, such as baseline.');
  if (passageCounts.length === 0) throw new UserError('No number of passages is given.');
  return ids.flatMap((variant) => {
    const k = virtualTokenCount(variant);
    const counts = showsPassages(variant) || adapterOf(variant) ? passageCounts : [0];
    return counts.map((passages) => ({ variant, k, passages }));
  });
}

/** Identifies a condition among the predictions of an experiment. */
export function conditionKey({ variant, passages }: Pick<Condition, 'variant' | 'passages'>): string {
  return `${variant} ${passages}`;
}

/** The conditions asked for, then those that earlier runs in the same folder have answered. */
export function withEarlierConditions(
  conditions: readonly Condition[],
  predictions: readonly Condition[],
): Condition[] {
  const all = new Map(conditions.map((condition) => [conditionKey(condition), condition]));
  for (const { variant, k, passages } of predictions) {
    const condition = { variant, k, passages };
    if (!all.has(conditionKey(condition))) all.set(conditionKey(condition), condition);
  }
  return [...all.values()];
}
