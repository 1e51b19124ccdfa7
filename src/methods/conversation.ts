/** The instruction prompt as what the user says, in the checkpoint's own chat template. */
import { instructionPrompt } from '../spring/prompts.ts';
import type { Planner } from './types.ts';

export const planConversation: Planner = (_, { question, passages, templates }) => ({
  prompt: {
    form: 'chat',
    pieces: instructionPrompt(question, passages, templates),
    assistant: '',
    withoutTemplate: 'refuse',
  },
});
