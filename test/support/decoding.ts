/** Prompts of the oracle's scenarios, and what a decoder makes of them. */
import type { LoraAdapter } from '../../src/checkpoint/types.ts';
import type { Decoder } from '../../src/decoder/decoder.ts';
import { PromptUnits } from '../../src/decoder/promptUnits.ts';
import type { Generation, Prompt } from '../../src/decoder/types.ts';
import type { Golden } from './oracle.ts';

/** Prefix, the scenario's virtual tokens, suffix. */
export function scenarioPrompt(golden: Golden, name: string, adapter?: LoraAdapter): Prompt {
  const rows = golden.tensor('virtual_tokens'); // (most virtual tokens, hiddenSize)
  const count = golden.scenarios[name]!.virtual_tokens;
  const most = Math.max(...Object.values(golden.scenarios).map((scenario) => scenario.virtual_tokens));
  return {
    parts: [
      { tokenIds: golden.prefix_ids },
      { rows: { data: rows.subarray(0, (count * rows.length) / most), count } },
      { tokenIds: golden.suffix_ids },
    ],
    adapter,
  };
}

/** Logits (positions, vocabSize) of all positions, or of those asked for, in one pass. */
export async function allLogits(
  decoder: Decoder,
  prompt: Prompt,
  positions?: readonly number[],
): Promise<Float32Array> {
  const promptUnits = new PromptUnits(decoder.embeddings);
  const units = promptUnits.fromPrompt(prompt);
  const sequence = await decoder.session.memory.create(units.length);
  const [logits] = await decoder.session.forward([
    {
      sequence,
      inputsEmbeds: await promptUnits.embeddings(units),
      adapter: prompt.adapter,
      ropeLength: units.length,
      logitsAt: [...(positions ?? units.keys())],
    },
  ]);
  decoder.session.memory.release(sequence);
  return logits!;
}

/** The finished answers of one comparison; by default 24 new tokens whatever they are, as in the oracle. */
export async function generations(
  decoder: Decoder,
  prompts: readonly Prompt[],
  settings = { maxNewTokens: 24, ignoreEos: true },
): Promise<Generation[]> {
  const results: Generation[] = [];
  for await (const event of decoder.compare(prompts, settings)) {
    if (event.type === 'done') results[event.index] = event.generation;
  }
  return results;
}

/** The token ids of one comparison's answers. */
export async function answers(decoder: Decoder, prompts: readonly Prompt[]): Promise<number[][]> {
  return (await generations(decoder, prompts)).map(({ tokenIds }) => tokenIds);
}

/** Every non-empty subset of the items in every order. */
export function orderedSubsets<T>(items: readonly T[]): T[][] {
  return items.flatMap((item, index) => {
    const others = [...items.slice(0, index), ...items.slice(index + 1)];
    return [[item], ...orderedSubsets(others).map((rest) => [item, ...rest])];
  });
}
