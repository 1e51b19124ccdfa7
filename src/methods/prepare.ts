/** A plan made ready for the local decoder. */
import type { Tokenizer } from '../checkpoint/tokenizer.ts';
import type { LoraAdapter } from '../checkpoint/types.ts';
import type { Prompt, VirtualTokenRows } from '../decoder/types.ts';
import type { VariantPlan } from '../protocol/comparison.ts';
import { variantFrom, type AdapterKind, type VariantId } from '../protocol/methods.ts';
import { isChatTrained } from '../spring/prompts.ts';
import { planVariant } from './plan.ts';
import { tokenizePlanned } from './tokenize.ts';
import type { AnswerPlan, PlanInput, TokenFileFacts } from './types.ts';

/** An embedding file's rows (count, hiddenSize), with what the file says of itself. */
export type TokenRows = VirtualTokenRows & { metadata?: Readonly<Record<string, string>> };

/** What a plan needs besides the model. */
export interface PlanResources {
  /** Of the plan's embedding file. */
  rows?: TokenRows | undefined;
  /** The merged adapter that the plan names. */
  adapter?: LoraAdapter | undefined;
}

/** A plan ready for the decoder; `prompt` is for people. */
export interface PreparedVariant extends VariantPlan {
  decoderPrompt: Prompt;
}

export function tokenFileFacts(rows: TokenRows | undefined): TokenFileFacts | undefined {
  return rows && { count: rows.count, chat: isChatTrained(rows.metadata ?? {}) };
}

/**
 * Tokenises a plan.
 * @throws UserError as tokenizePlanned
 */
export function preparePlan(
  plan: AnswerPlan,
  tokenizer: Tokenizer,
  { rows, adapter }: PlanResources,
): PreparedVariant {
  if (plan.adapter && !adapter) throw new Error(`The variant ${plan.id} was built without its adapter.`);
  const { id, label, k } = plan;
  const { parts, pieces } = tokenizePlanned(tokenizer, plan.prompt, rows);
  const against = plan.against && {
    parts: tokenizePlanned(tokenizer, plan.against.prompt, rows).parts,
    strength: plan.against.strength,
  };
  const decoderPrompt = { parts, ...(plan.adapter && { adapter }), ...(against && { against }) };
  return { id, label, k, prompt: pieces, decoderPrompt };
}

/**
 * A variant planned, with what it needs: what a backend answers.
 * @throws UserError as planVariant
 */
export function planRequest(
  id: VariantId,
  { virtualTokens: rows, adapters = {}, ...input }: RequestOptions,
): { plan: AnswerPlan } & PlanResources {
  const plan = planVariant(variantFrom(id), { ...input, tokens: tokenFileFacts(rows) });
  return { plan, rows, adapter: plan.adapter && adapters[plan.adapter] };
}

export interface RequestOptions extends Omit<PlanInput, 'tokens'> {
  /** Of the variant's embedding file. */
  virtualTokens?: TokenRows | undefined;
  /** Merged adapters of the passages and of unrelated ones, where the variant needs them. */
  adapters?: Partial<Record<AdapterKind, LoraAdapter>>;
}

/**
 * Plans and tokenises one variant.
 * @throws UserError as planVariant and preparePlan
 */
export function buildVariant(
  id: VariantId,
  { tokenizer, ...options }: RequestOptions & { tokenizer: Tokenizer },
): PreparedVariant {
  const request = planRequest(id, options);
  return preparePlan(request.plan, tokenizer, request);
}
