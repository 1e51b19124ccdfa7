/** What an adapter is trained on: a passage's questions, with the passage, with its rewrite, and alone. */
import type { Tokenizer } from '../checkpoint/tokenizer.ts';
import type { AugmentedPassage } from './augmentedData.ts';
import { pragPrompt } from './prompts.ts';

/** One sequence; the loss is on the tokens from `labelStart` on (the first token has nothing before it). */
export interface TrainingSequence {
  tokenIds: number[];
  labelStart: number;
}

export interface SequenceOptions {
  /** `all`: the loss is on every token, as the authors' code does; `answer`: on the assistant's text alone. */
  labels: 'all' | 'answer';
  /** Text of examples: the full answers are trained, in the chain-of-thought prompt. */
  fewShot?: string | undefined;
  /** Longer sequences lose their end (the authors: 3000). */
  maximumLength: number;
}

/**
 * The first half of the questions (rounded up) twice, with the passage and with its rewrite; the other half without
 * both: five sequences of three questions, in the authors' order.
 */
export function trainingSequences(
  tokenizer: Tokenizer,
  { passage, rewrite, questionAnswers }: AugmentedPassage,
  { labels, fewShot, maximumLength }: SequenceOptions,
): TrainingSequence[] {
  const withPassage = Math.ceil(questionAnswers.length / 2);
  return questionAnswers.flatMap((pair, index) => {
    const answer = fewShot === undefined ? pair.answer : pair.fullAnswer;
    const contexts = index < withPassage ? [[passage], [rewrite]] : [[]];
    return contexts.map((passages) => {
      const prompt = pragPrompt(tokenizer, { question: pair.question, passages, answer, fewShot });
      const tokenIds = prompt.tokenIds.slice(0, maximumLength);
      return { tokenIds, labelStart: labels === 'all' ? 1 : Math.max(1, prompt.answerStart) };
    });
  });
}
