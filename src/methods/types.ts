/** A variant planned: what is put to the model, before a tokenizer or a server has seen it. */
import type { PromptPiece, VariantNeed } from '../protocol/comparison.ts';
import { UserError } from '../protocol/errors.ts';
import type { AdapterKind, Variant, VariantId } from '../protocol/methods.ts';
import type { Passage } from '../protocol/passages.ts';
import type { PromptTemplates } from '../spring/prompts.ts';

export interface PlanInput {
  question: string;
  passages: readonly Passage[];
  /** Default: the authors'. */
  templates?: PromptTemplates | undefined;
  /** Text of reasoning examples for the prompts of Parametric RAG. */
  fewShot?: string | undefined;
  /** Of the variant's embedding file; needed by methods with rows and k > 0. */
  tokens?: TokenFileFacts | undefined;
}

/** What a plan depends on of an embedding file. */
export interface TokenFileFacts {
  count: number;
  /** Trained within the model's chat template, so asked within it. */
  chat: boolean;
}

export type PlannedPrompt =
  /** As it stands; BOS is added as the tokenizer says. */
  | { form: 'text'; pieces: PromptPiece[] }
  /** What the user says, in the model's chat template, and how the assistant begins. */
  | {
      form: 'chat';
      pieces: PromptPiece[];
      assistant: string;
      /** For a model without a chat template: the plain texts, or not at all. */
      withoutTemplate: 'plain' | 'refuse';
    };

export interface AnswerPlan {
  id: VariantId;
  /** For people: `SPRING k=10`. */
  label: string;
  /** Virtual tokens in the prompt; 0 for methods without. */
  k: number;
  prompt: PlannedPrompt;
  /** Whose merged adapters the model carries. */
  adapter?: AdapterKind | undefined;
  /** Of contrastive decoding: the prompt whose logits are subtracted, `strength` times. */
  against?: { prompt: PlannedPrompt; strength: number } | undefined;
}

/** One file of this folder: the prompts of a template of the table. */
export type Planner = (variant: Variant, input: PlanInput) => Pick<AnswerPlan, 'prompt' | 'against'>;

/** A variant cannot be asked; others can. */
export class UnavailableError extends UserError {
  /** What it lacks; null: the message says it. */
  readonly needs: VariantNeed | null;

  constructor(message: string, needs: VariantNeed | null) {
    super(message);
    this.needs = needs;
  }
}
