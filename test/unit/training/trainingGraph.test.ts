import assert from 'node:assert/strict';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loraTargets } from '../../../src/checkpoint/layers.ts';
import type { Checkpoint, LoraAdapter } from '../../../src/checkpoint/types.ts';
import { keysAndValuesOf } from '../../../src/decoder/hostKeyValues.ts';
import { DecoderSession } from '../../../src/decoder/session.ts';
import { emitTrainingGraph } from '../../../src/decoder/trainingGraph.ts';
import { TrainingSession, type TrainingExample } from '../../../src/decoder/trainingSession.ts';
import { assertGolden } from '../../support/golden.ts';
import { randomCheckpoint, randomTensor } from '../../support/randomCheckpoint.ts';

const shapes: Record<string, Record<string, unknown>> = {
  'one key head for all': { num_key_value_heads: 1 },
  'a key head for each': { num_key_value_heads: 6 },
  'heads narrower than hidden / heads': { num_attention_heads: 4, head_dim: 16 },
  'heads wider than hidden / heads': { head_dim: 32 },
  'heads of a size that is no multiple of 16': { head_dim: 20 },
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
  'scaled embeddings, norms round the blocks, GELU, two rotations (Gemma 3)': {
    architecture: 'Gemma3ForCausalLM',
    head_dim: 16,
    query_pre_attn_scalar: 20,
    sliding_window: 5,
    sliding_window_pattern: 2,
    rope_scaling: { rope_type: 'linear', factor: 8 },
    num_hidden_layers: 3,
    final_logit_softcapping: null,
  },
  'a layer without rotation, which has a window (SmolLM3)': {
    architecture: 'SmolLM3ForCausalLM',
    no_rope_layers: [1, 0],
    use_sliding_window: true,
    sliding_window: 6,
  },
  'four factors (Granite)': {
    architecture: 'GraniteForCausalLM',
    embedding_multiplier: 3,
    residual_multiplier: 0.4,
    attention_multiplier: 0.2,
    logits_scaling: 1.7,
  },
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

describe('training a LoRA against inference with it', () => {
  const names = ['(Gemma 3)', '(SmolLM3)', '(Granite)', '(Phi-3)'];
  for (const [what, changes] of Object.entries(shapes).filter(([key]) =>
    names.some((x) => key.includes(x)),
  )) {
    it(what, async () => {
      const folder = await realpath(await mkdtemp(join(tmpdir(), 'shapes-')));
      try {
        await checkLora(await randomCheckpoint(folder, changes));
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
  const { hiddenSize } = checkpoint.config;
  const length = prefixLength + tailLength;
  const embeds = randomTensor(length * hiddenSize, 1);
  const labels = [3, 7, 10].map((index, i) => ({ index, tokenId: 11 + i }));
  const inference = await DecoderSession.open(checkpoint);
  const shifted = labels.map(({ index, tokenId }) => ({ index: prefixLength + index, tokenId }));
  const forward = (inputsEmbeds: Float32Array): Promise<number> =>
    inferenceLoss(inference, inputsEmbeds, shifted);
  const prefix = await inference.memory.create(prefixLength);
  const inputsEmbeds = embeds.slice(0, prefixLength * hiddenSize);
  await inference.forward([
    { sequence: prefix, inputsEmbeds, adapter: undefined, ropeLength: length, logitsAt: [0] },
  ]);
  const past = keysAndValuesOf(prefix);

  const tail = embeds.slice(prefixLength * hiddenSize);
  const fromTail = await train(checkpoint, true, { inputsEmbeds: tail, length: tailLength, past, labels });
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

/** The loss is that of inference with the adapter, and inference's loss changes along the gradient as it says. */
async function checkLora(checkpoint: Checkpoint): Promise<void> {
  const { config } = checkpoint;
  const [rank, scaling, length] = [2, 0.5, 12];
  const inputsEmbeds = randomTensor(length * config.hiddenSize, 1);
  const labels = [4, 10].map((index, i) => ({ index, tokenId: 11 + i }));
  const factors = new Map<string, Float32Array>();
  for (const [seed, { key, inFeatures, outFeatures }] of loraTargets(config).entries()) {
    factors.set(
      `lora_a.${key}`,
      randomTensor(rank * inFeatures, seed).map((x) => 0.2 * x),
    );
    factors.set(
      `lora_b.${key}`,
      randomTensor(outFeatures * rank, 50 + seed).map((x) => 0.2 * x),
    );
  }
  const session = await TrainingSession.open(checkpoint, {
    past: false,
    lora: true,
    gradients: { lora: true },
  });
  const { losses, gradients } = await session.run([{ inputsEmbeds, length, labels }], 1, {
    factors,
    rank,
    scaling,
  });
  await session.dispose();

  const inference = await DecoderSession.open(checkpoint);
  const norm = Math.hypot(...[...gradients.values()].flatMap((values) => [...values]));
  const lossAlong = async (distance: number): Promise<number> => {
    const moved = (name: string): Float32Array =>
      factors.get(name)!.map((x, i) => x + (distance * gradients.get(name)![i]!) / norm);
    const pairs = new Map(
      loraTargets(config).map(({ key, inFeatures, outFeatures }) => {
        const [a, b] = [moved(`lora_a.${key}`), moved(`lora_b.${key}`)];
        return [key, { a, b, rank, inFeatures, outFeatures, scaling }];
      }),
    );
    return inferenceLoss(inference, inputsEmbeds, labels, { id: String(distance), pairs });
  };
  const expected = await lossAlong(0);
  assert.ok(Math.abs(losses[0]! - expected) < 1e-4, `${losses[0]}, expected ${expected}`);
  const step = 0.01;
  const slope = ((await lossAlong(step)) - (await lossAlong(-step))) / (2 * step);
  assert.ok(Math.abs(slope - norm) < 0.01 * norm, `slope ${slope}, norm of the gradient ${norm}`);
  await inference.dispose();
}

/** The sum of the labels' losses, by the inference graph. */
async function inferenceLoss(
  session: DecoderSession,
  inputsEmbeds: Float32Array,
  labels: TrainingExample['labels'],
  adapter?: LoraAdapter,
): Promise<number> {
  const { hiddenSize, vocabSize } = session.config;
  const ropeLength = inputsEmbeds.length / hiddenSize;
  const sequence = await session.memory.create(ropeLength);
  const logitsAt = labels.map(({ index }) => index);
  const [logits] = await session.forward([{ sequence, inputsEmbeds, adapter, ropeLength, logitsAt }]);
  return labels.reduce((sum, { tokenId }, row) => {
    const scores = logits!.subarray(row * vocabSize, (row + 1) * vocabSize);
    return sum + Math.log(scores.reduce((total, x) => total + Math.exp(x), 0)) - scores[tokenId]!;
  }, 0);
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
