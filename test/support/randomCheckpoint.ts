/** Tiny checkpoints of any shape, with random weights. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { openCheckpoint, readModelConfig } from '../../src/checkpoint/checkpoint.ts';
import { expectedTensors } from '../../src/checkpoint/layers.ts';
import { writeSafetensors } from '../../src/checkpoint/safetensors.ts';
import type { Checkpoint } from '../../src/checkpoint/types.ts';

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
/** Writes a tiny checkpoint of the shape above with these changes: fields of config.json, and the weights' `dtype`. */
export async function randomCheckpoint(
  folder: string,
  changes: Record<string, unknown>,
): Promise<Checkpoint> {
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
export function randomTensor(size: number, seed: number): Float32Array {
  const generator = xoroshiro128plus(seed + 1);
  return Float32Array.from({ length: size }, () => generator.next() / 2 ** 31);
}
