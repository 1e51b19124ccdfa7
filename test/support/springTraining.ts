/** SPRING's golden training: an example, and three steps that must give its losses, gradient and tokens. */
import assert from 'node:assert/strict';
import type { EmbeddingTable } from '../../src/checkpoint/embeddingTable.ts';
import type { Checkpoint } from '../../src/checkpoint/types.ts';
import { AdamW } from '../../src/decoder/adamW.ts';
import { keysAndValuesOf } from '../../src/decoder/hostKeyValues.ts';
import type { PastKeysAndValues } from '../../src/decoder/keyValueMemory.ts';
import { DecoderSession } from '../../src/decoder/session.ts';
import { TrainingSession, type TrainingExample } from '../../src/decoder/trainingSession.ts';
import type { Preparation } from '../../src/decoder/types.ts';
import { largestDifference, type Golden } from './oracle.ts';

/** Virtual tokens of the golden training. */
export const springTokens = 10;

/** Keys and values of a sequence, by the inference graph; it will be `ropeLength` long in all. */
export async function prefill(
  checkpoint: Checkpoint,
  inputsEmbeds: Float32Array,
  ropeLength = inputsEmbeds.length / checkpoint.config.hiddenSize,
): Promise<PastKeysAndValues> {
  const session = await DecoderSession.open(checkpoint);
  const length = inputsEmbeds.length / checkpoint.config.hiddenSize;
  const sequence = await session.memory.create(length);
  await session.forward([{ sequence, inputsEmbeds, adapter: undefined, ropeLength, logitsAt: [0] }]);
  await session.dispose();
  return keysAndValuesOf(sequence);
}

/** The oracle's example with the given virtual tokens; without `past` it begins with the prefix. */
export async function springExample(
  golden: Golden,
  embeddings: EmbeddingTable,
  rows: Float32Array,
  past?: PastKeysAndValues,
): Promise<TrainingExample> {
  const prefix = past ? [] : golden.prefix_ids;
  const { target_ids } = golden.spring_training;
  const before = await embeddings.rows(prefix);
  const after = await embeddings.rows([...golden.suffix_ids, ...target_ids]);
  const inputsEmbeds = Float32Array.from([...before, ...rows, ...after]);
  const answerStart = prefix.length + springTokens + golden.suffix_ids.length;
  return {
    inputsEmbeds,
    length: inputsEmbeds.length / embeddings.hiddenSize,
    labels: target_ids.map((tokenId, i) => ({ index: answerStart + i - 1, tokenId })),
    ...(past ? { past } : {}),
  };
}

/** Three steps of training: losses, the first gradient and the tokens at the end. */
export async function checkSpring(
  golden: Golden,
  checkpoint: Checkpoint,
  embeddings: EmbeddingTable,
  options: { past: boolean },
  past?: PastKeysAndValues,
  preparation: Preparation = {},
): Promise<void> {
  const graph = { ...options, lora: false, gradients: { inputsEmbeds: true } };
  const session = await TrainingSession.open(checkpoint, graph, preparation);
  const size = springTokens * embeddings.hiddenSize;
  const start = past ? 0 : golden.prefix_ids.length * embeddings.hiddenSize;
  const rows = golden.tensor('virtual_tokens').slice(0, size);
  const optimizer = new AdamW();
  for (const [step, expected] of golden.spring_training.losses.entries()) {
    const example = await springExample(golden, embeddings, rows, past);
    const { losses, gradients } = await session.run([example], 1 / example.labels.length);
    assertClose(losses[0]! / example.labels.length, expected, 2e-5, `loss ${step}`);
    if (step === 3) break;
    const gradient = gradients.get('inputs_embeds')!.slice(start, start + size);
    if (step === 0) assertTensor(gradient, golden.tensor('spring_training/grad'), 3e-5, 'gradient');
    optimizer.update(new Map([['rows', rows]]), new Map([['rows', gradient]]), 1e-2);
  }
  assertTensor(rows, golden.tensor('spring_training/final'), 1e-4, 'tokens after three steps');
  await session.dispose();
}

export function assertClose(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual}, expected ${expected}`);
}

export function assertTensor(
  actual: Float32Array,
  expected: Float32Array,
  tolerance: number,
  what: string,
): void {
  const difference = largestDifference(actual, expected);
  assert.ok(difference <= tolerance, `${what} differs by ${difference}`);
}
