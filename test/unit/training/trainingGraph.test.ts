import assert from 'node:assert/strict';
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { expectedTensors, openCheckpoint, readModelConfig } from '../../../src/checkpoint/checkpoint.ts';
import { writeSafetensors } from '../../../src/checkpoint/safetensors.ts';
import type { Checkpoint } from '../../../src/checkpoint/types.ts';
import { DecoderSession } from '../../../src/decoder/session.ts';
import { emitTrainingGraph } from '../../../src/decoder/trainingGraph.ts';
import { TrainingSession, type TrainingExample } from '../../../src/decoder/trainingSession.ts';

import { assertGolden } from '../../support/golden.ts';

const base = {
  model_type: 'llama',
  vocab_size: 40,
  hidden_size: 96,
  intermediate_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: 'silu',
  tie_word_embeddings: false,
  eos_token_id: 2,
};
const shapes: Record<string, Record<string, unknown>> = {
  'one key head for all': { num_key_value_heads: 1 },
  'a key head for each': { num_key_value_heads: 6 },
  'heads narrower than hidden / heads': { num_attention_heads: 4, head_dim: 16 },
  'heads wider than hidden / heads': { head_dim: 32 },
  'a tied head in half precision': { tie_word_embeddings: true, dtype: 'BF16' },
  'biases (Qwen2)': { architecture: 'Qwen2ForCausalLM' },
  'norms of queries and keys (Qwen3)': { architecture: 'Qwen3ForCausalLM', head_dim: 32 },
  'fused projections and a window (Phi-3)': { architecture: 'Phi3ForCausalLM', sliding_window: 5 },
  'a window as long as the sequence (Mistral)': { architecture: 'MistralForCausalLM', sliding_window: 30 },
  'windows in some layers (Qwen2)': {
    architecture: 'Qwen2ForCausalLM',
    use_sliding_window: true,
    sliding_window: 7,
    max_window_layers: 1,
  },
  'part of the head rotated': { architecture: 'Phi3ForCausalLM', head_dim: 32, partial_rotary_factor: 0.5 },
  'linear rope': { rope_scaling: { type: 'linear', factor: 4 } },
  'dynamic rope beyond its length': {
    max_position_embeddings: 16,
    rope_scaling: { type: 'dynamic', factor: 2 },
  },
  yarn: { rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 } },
};
const prefixLength = 18;
const tailLength = 11;

/** The inference graph is checked against the oracle; here training must agree with it for shapes the oracle lacks. */
describe('training graph against the inference graph', () => {
  for (const [what, changes] of Object.entries(shapes)) {
    it(what, async () => {
      const folder = await realpath(await mkdtemp(join(tmpdir(), 'shapes-')));
      try {
        await checkShape(await randomCheckpoint(folder, changes));
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  }
});

describe('training graph', () => {
  it('of one layer, as text', async () => {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'shapes-')));
    try {
      const checkpoint = await randomCheckpoint(folder, { num_hidden_layers: 1 });
      const gradients = { inputsEmbeds: true };
      const graph = emitTrainingGraph(checkpoint, { past: true, lora: false, gradients });
      assertGolden('training/oneLayer.txt', graph.listing());
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

async function checkShape(checkpoint: Checkpoint): Promise<void> {
  const { hiddenSize, vocabSize } = checkpoint.config;
  const length = prefixLength + tailLength;
  const embeds = randomTensor(length * hiddenSize, 1);
  const labels = [3, 7, 10].map((index, i) => ({ index, tokenId: 11 + i }));
  const inference = await DecoderSession.open(checkpoint);
  const forward = async (inputsEmbeds: Float32Array): Promise<number> => {
    const cache = await inference.allocate(1, length);
    const logits = await inference.forward({
      inputsEmbeds,
      sequence: length,
      cache,
      adapters: [undefined],
      logitsIndices: labels.map(({ index }) => prefixLength + index),
      ropeLength: length,
    });
    return labels.reduce((sum, { tokenId }, row) => {
      const scores = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
      return sum + Math.log(scores.reduce((total, x) => total + Math.exp(x), 0)) - scores[tokenId]!;
    }, 0);
  };
  const past = await inference.allocate(1, prefixLength);
  await inference.forward({
    inputsEmbeds: embeds.slice(0, prefixLength * hiddenSize),
    sequence: prefixLength,
    cache: past,
    adapters: [undefined],
    logitsIndices: [0],
    ropeLength: length,
  });

  const tail = embeds.slice(prefixLength * hiddenSize);
  const fromTail = await train(checkpoint, true, { inputsEmbeds: tail, length: tailLength, past, labels });
  const shifted = labels.map(({ index, tokenId }) => ({ index: prefixLength + index, tokenId }));
  const fromWhole = await train(checkpoint, false, { inputsEmbeds: embeds, length, labels: shifted });
  const expected = await forward(embeds);
  assert.ok(Math.abs(fromTail.loss - expected) < 1e-4, `${fromTail.loss}, expected ${expected}`);
  assert.ok(Math.abs(fromWhole.loss - expected) < 1e-4, `${fromWhole.loss}, expected ${expected}`);
  const whole = fromWhole.gradient.subarray(prefixLength * hiddenSize);
  fromTail.gradient.forEach((value, i) => assert.ok(Math.abs(value - whole[i]!) < 1e-4));

  // the loss of the inference graph changes along the gradient as the gradient says
  const norm = Math.hypot(...fromWhole.gradient);
  const along = (distance: number): Promise<number> =>
    forward(embeds.map((value, i) => value + (distance * fromWhole.gradient[i]!) / norm));
  const step = 0.01;
  const slope = ((await along(step)) - (await along(-step))) / (2 * step);
  assert.ok(Math.abs(slope - norm) < 0.01 * norm, `slope ${slope}, norm of the gradient ${norm}`);
  await inference.dispose();
}

async function train(
  checkpoint: Checkpoint,
  past: boolean,
  example: TrainingExample,
): Promise<{ loss: number; gradient: Float32Array }> {
  const session = await TrainingSession.open(checkpoint, {
    past,
    lora: false,
    gradients: { inputsEmbeds: true },
  });
  const { losses, gradients } = await session.run([example], 1);
  await session.dispose();
  return { loss: losses[0]!, gradient: gradients.get('inputs_embeds')! };
}

async function randomCheckpoint(folder: string, changes: Record<string, unknown>): Promise<Checkpoint> {
  const { architecture = 'LlamaForCausalLM', dtype = 'F32', ...rest } = changes;
  const config = { ...base, architectures: [architecture], ...rest };
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  const tensors = [...expectedTensors(await readModelConfig(folder))].map(([name, shape], seed) => {
    const values = randomTensor(
      shape.reduce((a, b) => a * b, 1),
      seed,
    );
    const isNorm = name.includes('norm');
    return { name, dtype: dtype as 'F32', shape, data: values.map((x) => (isNorm ? 1 + 0.3 * x : 0.2 * x)) };
  });
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
  return openCheckpoint(folder);
}

/** Values between -1 and 1. */
function randomTensor(size: number, seed: number): Float32Array {
  const generator = xoroshiro128plus(seed + 1);
  return Float32Array.from({ length: size }, () => generator.next() / 2 ** 31);
}
