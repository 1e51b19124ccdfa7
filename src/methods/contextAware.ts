/**
 * Context-aware decoding (arXiv 2305.14739): every token is chosen by (1 + a) x logits with the passages - a x logits
 * without them, so that what the passages say weighs more than what the model knew before.
 */
import { methodOf } from '../protocol/methods.ts';
import { baselinePrompt, questionPrompt } from '../spring/prompts.ts';
import type { Planner } from './types.ts';

export const planContextAware: Planner = (variant, { question, passages, templates }) => ({
  prompt: { form: 'text', pieces: baselinePrompt(question, passages, templates) },
  against: {
    prompt: { form: 'text', pieces: questionPrompt(question, templates) },
    strength: variant.strength ?? methodOf(variant).strength!,
  },
});
