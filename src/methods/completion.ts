/** Passages, virtual tokens and the question as a text to go on with, as the authors of SPRING ask. */
import { methodOf } from '../protocol/methods.ts';
import { springPrompt } from '../spring/prompts.ts';
import type { Planner } from './types.ts';

export const planCompletion: Planner = (variant, { question, passages, templates, tokens }) => {
  const shown = methodOf(variant).showsPassages ? passages : [];
  const { k = 0 } = variant;
  const pieces = springPrompt(question, shown, k, templates);
  if (k > 0 && tokens?.chat) {
    return { prompt: { form: 'chat', pieces, assistant: '', withoutTemplate: 'refuse' } };
  }
  return { prompt: { form: 'text', pieces } };
};
