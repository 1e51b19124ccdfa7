/** Whether passages hold an answer, for questions without relevance judgements: FlashRAG's measures of retrieval. */
import { accuracy } from '../metrics.ts';

/**
 * FlashRAG's `retrieval_recall` and `retrieval_precision` (flashrag/evaluator/metrics.py) of the passages given: recall is 1
 * if a normalised gold answer stands in a normalised passage, precision is the share of such passages. Without passages
 * both are 0 (FlashRAG divides by zero there).
 */
export function answerStringMeasures(
  passages: readonly string[],
  goldAnswers: readonly string[],
): { recall: number; precision: number } {
  const hits = passages.filter((passage) => accuracy(passage, goldAnswers) === 1).length;
  return { recall: hits > 0 ? 1 : 0, precision: passages.length === 0 ? 0 : hits / passages.length };
}
