/** Checkpoint folders: config.json, generation_config.json and the index of the weight files. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint, readModelConfig } from '../../../src/checkpoint/checkpoint.ts';
import {
  tinyConfig,
  writeCheckpoint,
  writeShardedCheckpoint,
} from '../../../test/fixtures/checkpoint/tinyCheckpoint.ts';
import type { FuzzReader } from '../reader.ts';

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

const rotary = [
  {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 64,
  },
  { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64, beta_fast: 32, beta_slow: 1 },
  { type: 'linear', factor: 2 },
  { type: 'dynamic', factor: 2 },
  { type: 'longrope', short_factor: [1, 1], long_factor: [2, 2], original_max_position_embeddings: 64 },
];
const architectures = [
  'MistralForCausalLM',
  'Qwen2ForCausalLM',
  'Qwen3ForCausalLM',
  'Phi3ForCausalLM',
  'Gemma3ForCausalLM',
];

export const config: FuzzReader = {
  name: 'config',
  damaged: ['config.json', 'generation_config.json', 'model.safetensors.index.json'],
  async seeds(folder) {
    await writeCheckpoint(join(folder, 'whole'));
    const shards = await writeShardedCheckpoint(join(folder, 'sharded'));
    const read = (part: string, names: readonly string[]): Record<string, Uint8Array> =>
      Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, part, name))]));
    const generation = json({ eos_token_id: [2, 3], bos_token_id: 1, temperature: 0.7 });
    const whole = {
      ...read('whole', ['config.json', 'model.safetensors']),
      'generation_config.json': generation,
    };
    return [
      whole,
      read('sharded', ['config.json', 'model.safetensors.index.json', ...shards]),
      ...rotary.map((scaling) => ({
        ...whole,
        'config.json': json({ ...tinyConfig, rope_scaling: scaling }),
      })),
      ...architectures.map((name) => ({
        ...whole,
        'config.json': json({ ...tinyConfig, architectures: [name] }),
      })),
    ];
  },
  async read(folder) {
    await readModelConfig(folder);
    await openCheckpoint(folder);
  },
};
