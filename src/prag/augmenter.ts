/** Where the augmentation of a passage comes from while it is encoded. */
import { augmentPassages, type AugmentOptions } from './augment.ts';
import type { AugmentedPassage, AugmentedQuestion } from './augmentedData.ts';
import type { TextGenerator } from './generators.ts';
import { contentKey } from './recipe.ts';

export interface Augmenter {
  /** Identifies what this would make of the passage, without making it: part of the adapter's key. */
  keyOf(passage: string): string;
  /** Undefined if it cannot be augmented. */
  augment(passage: string, signal?: AbortSignal): Promise<AugmentedPassage | undefined>;
}

/** Asks a model. */
export function generatingAugmenter(generator: TextGenerator, options: AugmentOptions): Augmenter {
  return {
    keyOf: () => contentKey(['generated', generator.identity, options.seed ?? 0]),
    async augment(passage, signal) {
      for await (const { augmented } of augmentPassages([passage], generator, { ...options, signal })) {
        return augmented;
      }
      return undefined;
    },
  };
}

/** Takes what a file of augmented data has, and the rest from another augmenter, if there is one. */
export function preparedAugmenter(
  questions: readonly Pick<AugmentedQuestion, 'augmented'>[],
  otherwise?: Augmenter,
): Augmenter {
  const known = new Map(
    questions.flatMap(({ augmented }) => augmented.map((entry) => [entry.passage, entry] as const)),
  );
  return {
    keyOf(passage) {
      const entry = known.get(passage);
      return entry ? contentKey(['prepared', entry]) : (otherwise?.keyOf(passage) ?? '');
    },
    async augment(passage, signal) {
      return known.get(passage) ?? (await otherwise?.augment(passage, signal));
    },
  };
}
