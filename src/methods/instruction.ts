/** Passages, the paper's hand-written instruction, the question. */
import { instructionPrompt } from '../spring/prompts.ts';
import type { Planner } from './types.ts';

export const planInstruction: Planner = (_, { question, passages, templates }) => ({
  prompt: { form: 'text', pieces: instructionPrompt(question, passages, templates) },
});
