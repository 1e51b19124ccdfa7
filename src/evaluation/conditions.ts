/** What an experiment compares: a variant of the prompt at a number of passages. */
import { parseVariants, type ChosenTokenFile } from '../methods/chooseVariants.ts';
import { UserError } from '../protocol/errors.ts';
import { methodOf, referenceMethod, variantFrom, type VariantId } from '../protocol/methods.ts';

export interface Condition {
  variant: VariantId;
  /** Virtual tokens in the prompt. */
  k: number;
  /** Passages in the prompt at most; an item may have fewer. */
  passages: number;
}

/**
 * All conditions of an experiment, in the order asked for: methods with virtual tokens and no number stand for every k,
 * and without an embedding file for every one. A variant that shows no passages is asked once, whatever the numbers of
 * passages.
 * @param variants such as `no-rag,baseline,spring,spring:50@tokens`
 * @param tokenCounts the values of k for those; none: all rows of the file
 * @throws UserError for a name that is none, or nothing to compare
 */
export function expandConditions(
  variants: string,
  tokenCounts: readonly number[],
  passageCounts: readonly number[],
  files: readonly ChosenTokenFile[] = [],
): Condition[] {
  const ids = parseVariants(variants, { files, ...(tokenCounts.length > 0 && { k: tokenCounts }) });
  if (ids.length === 0)
    throw new UserError(`No variant is chosen: take at least one, such as ${referenceMethod}.`);
  if (passageCounts.length === 0) throw new UserError('No number of passages is given.');
  return ids.flatMap((id) => {
    const variant = variantFrom(id);
    const { showsPassages, adapter } = methodOf(variant);
    const counts = showsPassages || adapter ? passageCounts : [0];
    return counts.map((passages) => ({ variant: id, k: variant.k ?? 0, passages }));
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
