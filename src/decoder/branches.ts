/**
 * The prompts of an answer that grows: its own and, with contrastive decoding, the one that is subtracted. Both go through
 * the model in the passes of the whole comparison.
 */
import type { LoraAdapter } from '../checkpoint/types.ts';
import type { Answering } from './answering.ts';
import type { Sequence } from './keyValueMemory.ts';
import type { PromptToPrefill } from './prefill.ts';

/** An answer and its keys and values. */
export interface GrowingAnswer {
  answering: Answering;
  adapter: LoraAdapter | undefined;
  /** One for each of its branches, in their order; while it is prefilled some are missing. */
  sequences: Sequence[];
}

/** One of an answer's prompts, to be run. */
export interface Branch extends PromptToPrefill {
  answering: Answering;
  /** Among the answer's branches. */
  place: number;
}

/** The branches of answers; first the prompts themselves, whose beginning is worth keeping for the next question. */
export function branchesOf(
  answers: readonly Answering[],
  adapterOf: (answering: Answering) => LoraAdapter | undefined,
): Branch[] {
  const branches = answers.flatMap((answering) =>
    answering.branches.map((units, place) => ({ units, place, answering, adapter: adapterOf(answering) })),
  );
  return branches.sort((a, b) => a.place - b.place).map((branch, index) => ({ ...branch, index }));
}
