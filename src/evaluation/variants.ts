/** The variants of a comparison: one question, the same passages, several ways to ask. The one place that builds them. */
import type { Tokenizer } from '../checkpoint/tokenizer.ts';
import type { LoraAdapter } from '../checkpoint/types.ts';
import type { Prompt, VirtualTokenRows } from '../decoder/types.ts';
import { pragPrompt } from '../prag/prompts.ts';
import type { PromptPiece, SpringVariantId, VariantId, VariantPlan } from '../protocol/comparison.ts';
import { UserError } from '../protocol/errors.ts';
import type { Passage } from '../protocol/passages.ts';
import {
  baselinePrompt,
  defaultTemplates,
  instructionPrompt,
  questionPrompt,
  springPrompt,
  type PromptTemplates,
} from '../spring/prompts.ts';
import { tokenizePrompt } from '../spring/tokenizePrompt.ts';

export interface VariantOptions {
  question: string;
  passages: readonly Passage[];
  tokenizer: Tokenizer;
  /** The embedding file's rows; needed by `spring:k` with k > 0. */
  virtualTokens?: VirtualTokenRows | undefined;
  templates?: PromptTemplates | undefined;
  /** Merged adapters of the passages and of unrelated ones, where a variant needs them (see adapterOf). */
  adapters?: Partial<Record<AdapterKind, LoraAdapter>>;
  /** Text of reasoning examples for the PRAG prompts. */
  fewShot?: string | undefined;
}

/** Whose adapters a variant carries. */
export type AdapterKind = 'passages' | 'unrelated';

/** A variant ready for the decoder. */
export interface Variant extends VariantPlan {
  decoderPrompt: Prompt;
}

const variantPattern = /^(no-rag|baseline|prompt|spring:\d+(\+prag)?|icl|prag|prag\+rag|placebo)$/;

/**
 * Reads a list such as `no-rag,baseline,spring:10,prag`.
 * @throws UserError for a name that is none
 */
export function parseVariants(list: string): VariantId[] {
  const names = list
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  for (const name of names) {
    if (!variantPattern.test(name)) {
      throw new UserError(
        `"${name}" is no variant: expected no-rag, baseline, prompt, spring:K such as spring:10, icl, prag, ` +
          'prag+rag, placebo or spring:K+prag.',
      );
    }
  }
  return [...new Set(names)] as VariantId[];
}

/** How many virtual tokens stand in a variant's prompt. */
export function virtualTokenCount(id: VariantId): number {
  return Number(/^spring:(\d+)/.exec(id)?.[1] ?? 0);
}

/** Whose adapters a variant needs; undefined: none. */
export function adapterOf(id: VariantId): AdapterKind | undefined {
  if (id === 'placebo') return 'unrelated';
  return id.endsWith('prag') || id === 'prag+rag' ? 'passages' : undefined;
}

/** Whether a variant shows passages in its prompt. */
export function showsPassages(id: VariantId): boolean {
  return id !== 'no-rag' && id !== 'prag' && id !== 'placebo';
}

/** Whether a variant asks in PRAG's prompt, not in SPRING's. */
export function isPragPrompt(id: VariantId): boolean {
  return id === 'icl' || id === 'prag' || id === 'prag+rag' || id === 'placebo';
}

/**
 * Builds the prompt of one variant.
 * @throws UserError for an empty question, or more virtual tokens than the file has
 */
export function buildVariant(id: VariantId, options: VariantOptions): Variant {
  const { tokenizer, adapters = {} } = options;
  const kind = adapterOf(id);
  const adapter = kind && adapters[kind];
  if (kind && !adapter) throw new Error(`The variant ${id} was built without its adapter.`);
  const common = { id, label: variantLabel(id), k: virtualTokenCount(id) };
  if (isPragPrompt(id)) {
    const { question, fewShot } = options;
    const passages = showsPassages(id) ? options.passages.map(({ text }) => text) : [];
    const { tokenIds, text } = pragPrompt(tokenizer, { question, passages, fewShot });
    return { ...common, prompt: [{ text }], decoderPrompt: { parts: [{ tokenIds }], adapter } };
  }
  const prompt = springPieces(id.replace(/\+prag$/, '') as SpringVariantId, options);
  const parts = tokenizePrompt(tokenizer, prompt, options.virtualTokens);
  return { ...common, prompt, decoderPrompt: { parts, adapter } };
}

function springPieces(id: SpringVariantId, options: VariantOptions): PromptPiece[] {
  const { question, passages, templates = defaultTemplates } = options;
  if (id === 'no-rag') return questionPrompt(question, templates);
  if (id === 'baseline') return baselinePrompt(question, passages, templates);
  if (id === 'prompt') return instructionPrompt(question, passages, templates);
  return springPrompt(question, passages, virtualTokenCount(id), templates);
}

const labels: Readonly<Record<Exclude<VariantId, `spring:${string}`>, string>> = {
  'no-rag': 'No retrieval',
  baseline: 'Baseline',
  prompt: 'Instruction prompt',
  icl: 'Standard RAG (PRAG prompt)',
  prag: 'Parametric RAG',
  'prag+rag': 'Parametric RAG + passages',
  placebo: 'Placebo adapters',
};

/** A variant's name for people. */
export function variantLabel(id: VariantId): string {
  if (id in labels) return labels[id as keyof typeof labels];
  return `SPRING k=${virtualTokenCount(id)}${adapterOf(id) ? ' + Parametric RAG' : ''}`;
}
