/**
 * How good an answer is, by the definitions of FlashRAG (flashrag/evaluator/utils.py and metrics.py), which are those of
 * SQuAD. Every score is between 0 and 1; against several gold answers the best one counts.
 */

import { splitWords } from '../checkpoint/pythonText.ts';

export interface TokenOverlap {
  f1: number;
  precision: number;
  recall: number;
}

/** What is judged of one prediction. */
export interface Scores extends TokenOverlap {
  exactMatch: number;
  accuracy: number;
}

const punctuation = /[!-/:-@[-`{-~]/g;
/** Words are bounded as Python's `\b` bounds them: by anything that is no letter, digit or underscore of any script. */
const articles = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;
/** Answers that must agree as a whole: sharing a word with them means nothing. */
const closedAnswers: ReadonlySet<string> = new Set(['yes', 'no', 'noanswer']);

/** Lower case, without ASCII punctuation and the articles a, an, the; single spaces between words. */
export function normalizeAnswer(text: string): string {
  return splitWords(text.toLowerCase().replaceAll(punctuation, '').replaceAll(articles, ' ')).join(' ');
}

/** 1 if the normalised prediction equals a normalised gold answer. */
export function exactMatch(prediction: string, goldAnswers: readonly string[]): number {
  const normalized = normalizeAnswer(prediction);
  return goldAnswers.some((gold) => normalizeAnswer(gold) === normalized) ? 1 : 0;
}

/** 1 if a normalised gold answer stands somewhere in the normalised prediction. */
export function accuracy(prediction: string, goldAnswers: readonly string[]): number {
  const normalized = normalizeAnswer(prediction);
  return goldAnswers.some((gold) => normalized.includes(normalizeAnswer(gold))) ? 1 : 0;
}

/**
 * F1, precision and recall over the words that prediction and gold answer share, each its best over the gold answers.
 * A yes, no or noanswer on one side that is not the same on the other counts nothing.
 */
export function tokenOverlap(prediction: string, goldAnswers: readonly string[]): TokenOverlap {
  const best: TokenOverlap = { f1: 0, precision: 0, recall: 0 };
  const predicted = normalizeAnswer(prediction);
  const predictedWords = splitWords(predicted);
  for (const answer of goldAnswers) {
    const gold = normalizeAnswer(answer);
    if (predicted !== gold && (closedAnswers.has(predicted) || closedAnswers.has(gold))) continue;
    const goldWords = splitWords(gold);
    const shared = countShared(predictedWords, goldWords);
    if (shared === 0) continue;
    const precision = shared / predictedWords.length;
    const recall = shared / goldWords.length;
    best.f1 = Math.max(best.f1, (2 * precision * recall) / (precision + recall));
    best.precision = Math.max(best.precision, precision);
    best.recall = Math.max(best.recall, recall);
  }
  return best;
}

/** All scores of one prediction. */
export function scorePrediction(prediction: string, goldAnswers: readonly string[]): Scores {
  return {
    exactMatch: exactMatch(prediction, goldAnswers),
    ...tokenOverlap(prediction, goldAnswers),
    accuracy: accuracy(prediction, goldAnswers),
  };
}

/** The mean; 0 of nothing. */
export function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Words in common, each as often as it stands on both sides. */
function countShared(a: readonly string[], b: readonly string[]): number {
  const left = new Map<string, number>();
  for (const word of a) left.set(word, (left.get(word) ?? 0) + 1);
  let shared = 0;
  for (const word of b) {
    const count = left.get(word) ?? 0;
    if (count > 0) shared++;
    left.set(word, count - 1);
  }
  return shared;
}
