/** Where answers are made: a backend takes plans, all of a comparison at once, and streams what the model says. */
import type { GenerationSettings, Generation } from '../decoder/types.ts';
import type { AnswerToken, LoadedModel, PromptPiece } from '../protocol/comparison.ts';
import type { UserError } from '../protocol/errors.ts';
import type { PlanResources } from './prepare.ts';
import type { AnswerPlan } from './types.ts';

/** A plan with what it needs. */
export interface AnswerRequest extends PlanResources {
  plan: AnswerPlan;
}

/** `index` is the request's place. First what cannot be answered, then all prompts, then tokens and answers mixed. */
export type AnswerEvent =
  | { type: 'unavailable'; index: number; error: UserError }
  /** The prompts as they go to the model; those of requests that cannot be answered are absent. */
  | { type: 'prepared'; prompts: Map<number, PromptPiece[]> }
  | { type: 'token'; index: number; token: AnswerToken }
  | { type: 'answer'; index: number; answer: Generation };

export interface AnswerBackend {
  readonly model: LoadedModel;
  /**
   * Answers all requests that can be answered; one that cannot does not keep the others from it.
   * @throws UserError if the model fails
   * @throws CancelledError soon after the signal fires
   */
  answer(
    requests: readonly AnswerRequest[],
    settings: GenerationSettings,
    signal?: AbortSignal,
  ): AsyncGenerator<AnswerEvent>;
  /** How many requests as large as the largest of these are best put together. */
  batchSize(requests: readonly AnswerRequest[], settings: GenerationSettings): number;
  dispose(): Promise<void>;
}
