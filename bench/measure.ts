/** What the benchmarks measure of one loaded model. */
import type { Decoder } from '../src/decoder/decoder.ts';
import type { Generation, Prompt } from '../src/decoder/types.ts';

export interface Measurement {
  /** Tokens per second of a prompt of `promptTokens`, its first token included. */
  prefillTokensPerSecond: number;
  /** Tokens per second of one answer. */
  decodeTokensPerSecond: number;
}

/** Token ids that look like text to nobody but differ from each other. */
export function tokenIds(count: number, seed: number, vocabSize: number): number[] {
  return Array.from({ length: count }, (_, i) => 3 + ((i * 7919 + seed * 104729) % (vocabSize - 3)));
}

/** All answers of one comparison. */
export async function answers(
  decoder: Decoder,
  prompts: readonly Prompt[],
  maxNewTokens: number,
): Promise<{ generations: Generation[]; seconds: number }> {
  const generations: Generation[] = [];
  const start = performance.now();
  for await (const event of decoder.compare(prompts, { maxNewTokens, ignoreEos: true })) {
    if (event.type === 'done') generations[event.index] = event.generation;
  }
  return { generations, seconds: (performance.now() - start) / 1000 };
}

/** Medians of several runs, each with a prompt of its own (the prefix cache must not help). */
export async function measure(
  decoder: Decoder,
  { promptTokens = 512, newTokens = 64, runs = 3 } = {},
): Promise<Measurement> {
  const { vocabSize } = decoder.checkpoint.config;
  await answers(decoder, [{ parts: [{ tokenIds: tokenIds(promptTokens, 0, vocabSize) }] }], 4);
  const prefill: number[] = [];
  const decode: number[] = [];
  for (let run = 1; run <= runs; run++) {
    const prompt = { parts: [{ tokenIds: tokenIds(promptTokens, run, vocabSize) }] };
    const { generations } = await answers(decoder, [prompt], newTokens);
    prefill.push((1000 * promptTokens) / generations[0]!.timings.prefillMs);
    decode.push(generations[0]!.timings.decodeTokensPerSecond);
  }
  return { prefillTokensPerSecond: median(prefill), decodeTokensPerSecond: median(decode) };
}

/**
 * Seconds of comparisons of 1, 2 and 5 prompts that share a prefix: the median of several runs, interleaved so that
 * other work on the machine disturbs all alike.
 */
export async function measureComparison(
  decoder: Decoder,
  { prefixTokens = 600, tailTokens = 20, newTokens = 50, runs = 3 } = {},
): Promise<Record<number, number>> {
  const seconds = new Map<number, number[]>([
    [1, []],
    [2, []],
    [5, []],
  ]);
  let seed = 100;
  for (let run = 0; run <= runs; run++) {
    for (const [variants, times] of seconds) {
      const prompts = variantsOf(decoder, ++seed, variants, { prefixTokens, tailTokens });
      const { seconds: time } = await answers(decoder, prompts, newTokens);
      if (run > 0) times.push(time);
    }
  }
  return Object.fromEntries([...seconds].map(([variants, times]) => [variants, median(times)]));
}

/** Prompts of one question: the same passages, 0, 10, 1, 30 and 50 virtual tokens, the same question. */
export function variantsOf(
  { checkpoint }: Decoder,
  seed: number,
  variants: number,
  { prefixTokens = 600, tailTokens = 20 } = {},
): Prompt[] {
  const { vocabSize, hiddenSize } = checkpoint.config;
  const prefix = tokenIds(prefixTokens, seed, vocabSize);
  const tail = tokenIds(tailTokens, 5, vocabSize);
  const rows = (count: number): Float32Array =>
    Float32Array.from({ length: count * hiddenSize }, (_, i) => 0.04 * Math.sin(i));
  // baseline and k = 10 first
  return [0, 10, 1, 30, 50].slice(0, variants).map((count) => ({
    parts: [{ tokenIds: prefix }, { rows: { data: rows(count), count } }, { tokenIds: tail }],
  }));
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
