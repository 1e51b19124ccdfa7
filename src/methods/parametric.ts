/** The prompts of Parametric RAG, as its authors ask (prag/prompts.ts). */
import { methodOf } from '../protocol/methods.ts';
import { askedText } from '../prag/prompts.ts';
import type { Planner } from './types.ts';

export const planParametric: Planner = (variant, { question, passages, fewShot }) => {
  const shown = methodOf(variant).showsPassages ? passages.map(({ text }) => text) : [];
  const { user, assistant } = askedText({ question, passages: shown, fewShot });
  return { prompt: { form: 'chat', pieces: [{ text: user }], assistant, withoutTemplate: 'plain' } };
};
