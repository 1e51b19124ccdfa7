/** Exact match of greedy answers by the number of virtual tokens, while training. */
import type { Decoder } from '../../decoder/decoder.ts';
import type { Prompt } from '../../decoder/types.ts';
import type { ExactMatchAtK } from '../../protocol/training.ts';
import type { EncodedExample } from './examples.ts';

/** Tokens of an answer at most; FlashRAG's limit. */
const maxNewTokens = 32;

/** 1 for a right answer, else 0. */
export type ScoreAnswer = (answer: string, goldAnswers: readonly string[]) => number;

/**
 * Answers every example with the first k rows, for each k; what they share is prefilled once.
 * @param rows (numTokens, hiddenSize)
 */
export async function exactMatchByK(
  decoder: Decoder,
  examples: readonly (EncodedExample & { answers: readonly string[] })[],
  rows: Float32Array,
  ks: readonly number[],
  score: ScoreAnswer,
  signal?: AbortSignal,
): Promise<ExactMatchAtK[]> {
  const { hiddenSize } = decoder.embeddings;
  const right = ks.map(() => 0);
  for (const { prefixIds, suffixIds, answers } of examples) {
    const prompts = ks.map((k): Prompt => {
      const virtual = k === 0 ? [] : [{ rows: { data: rows.subarray(0, k * hiddenSize), count: k } }];
      return { parts: [{ tokenIds: prefixIds }, ...virtual, { tokenIds: suffixIds }] };
    });
    for await (const event of decoder.compare(prompts, { maxNewTokens }, signal)) {
      if (event.type === 'done') right[event.index]! += score(event.generation.text, answers);
    }
  }
  return ks.map((k, i) => ({ k, exactMatch: right[i]! / Math.max(1, examples.length) }));
}
