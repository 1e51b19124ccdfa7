/** The variants of a comparison: one question, the same passages, several ways to ask. */
import type { Tokenizer } from '../checkpoint/tokenizer.ts';
import type { Prompt, VirtualTokenRows } from '../decoder/types.ts';
import type { VariantId, VariantPlan } from '../protocol/comparison.ts';
import { UserError } from '../protocol/errors.ts';
import type { Passage } from '../protocol/passages.ts';
import {
  baselinePrompt,
  defaultTemplates,
  instructionPrompt,
  questionPrompt,
  springPrompt,
  type PromptTemplates,
} from './prompts.ts';
import { tokenizePrompt } from './tokenizePrompt.ts';

export interface VariantOptions {
  question: string;
  passages: readonly Passage[];
  tokenizer: Tokenizer;
  /** The embedding file's rows; needed by `spring:k` with k > 0. */
  virtualTokens?: VirtualTokenRows | undefined;
  templates?: PromptTemplates;
}

/** A variant ready for the decoder. */
export interface Variant extends VariantPlan {
  decoderPrompt: Prompt;
}

/**
 * Reads a list such as `no-rag,baseline,spring:10`.
 * @throws UserError for a name that is none
 */
export function parseVariants(list: string): VariantId[] {
  const names = list
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  for (const name of names) {
    if (!/^(no-rag|baseline|prompt|spring:\d+)$/.test(name)) {
      throw new UserError(
        `"${name}" is no variant: expected no-rag, baseline, prompt or spring:K, such as spring:10.`,
      );
    }
  }
  return [...new Set(names)] as VariantId[];
}

/**
 * Builds the prompt of one variant.
 * @throws UserError for an empty question, or more virtual tokens than the file has
 */
export function buildVariant(id: VariantId, options: VariantOptions): Variant {
  const { question, passages, tokenizer, virtualTokens, templates = defaultTemplates } = options;
  const k = id.startsWith('spring:') ? Number(id.slice('spring:'.length)) : 0;
  const prompt =
    id === 'no-rag'
      ? questionPrompt(question, templates)
      : id === 'baseline'
        ? baselinePrompt(question, passages, templates)
        : id === 'prompt'
          ? instructionPrompt(question, passages, templates)
          : springPrompt(question, passages, k, templates);
  const parts = tokenizePrompt(tokenizer, prompt, virtualTokens);
  return { id, label: variantLabel(id), k, prompt, decoderPrompt: { parts } };
}

/** A variant's name for people. */
export function variantLabel(id: VariantId): string {
  if (id === 'no-rag') return 'No retrieval';
  if (id === 'baseline') return 'Baseline';
  if (id === 'prompt') return 'Instruction prompt';
  return `SPRING k=${id.slice('spring:'.length)}`;
}
