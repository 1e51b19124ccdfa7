/** The variants of a comparison that cannot be asked: collected while it is set up, told before the others answer. */
import { UnavailableError } from '../methods/types.ts';
import type { UnavailableVariant } from '../protocol/comparison.ts';
import { UserError } from '../protocol/errors.ts';
import { variantFrom, variantLabel, type VariantId } from '../protocol/methods.ts';

export class Failures {
  private readonly variants: readonly VariantId[];
  private readonly errors = new Map<VariantId, UserError>();

  constructor(variants: readonly VariantId[]) {
    this.variants = variants;
  }

  add(id: VariantId, error: UserError): void {
    this.errors.set(id, error);
  }

  /** What can be made of each; what cannot is noted. */
  async collect<Item extends VariantId | { id: VariantId }, Result>(
    items: readonly Item[],
    make: (item: Item) => Result | Promise<Result>,
  ): Promise<Result[]> {
    const results: Result[] = [];
    for (const item of items) {
      try {
        results.push(await make(item));
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        this.add(typeof item === 'string' ? item : item.id, error);
      }
    }
    return results;
  }

  /**
   * In the order of the variants.
   * @throws UserError if none of the variants can be asked
   */
  *tell(): Generator<UnavailableVariant> {
    if (this.errors.size === this.variants.length) throw this.errors.get(this.variants[0]!)!;
    for (const id of this.variants) {
      const error = this.errors.get(id);
      if (!error) continue;
      const variant = variantFrom(id);
      const common = { variant: id, label: variantLabel(variant), k: variant.k ?? 0 };
      const needs = error instanceof UnavailableError ? error.needs : null;
      yield { type: 'unavailable', ...common, message: error.message, needs };
    }
  }
}
