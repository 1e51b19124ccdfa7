/** Files that the end-to-end tests need: a slow model, other embedding files. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSafetensors, type TensorToWrite } from '../../src/checkpoint/safetensors.ts';
import { writeVirtualTokens } from '../../src/checkpoint/virtualTokens.ts';
import { root } from './server.ts';

const demo = join(root, 'media/demo');
/** Width of the demo model. */
const demoWidth = 128;

/** 30 rows of noise: they fit the demo model and confuse it. */
export async function writeNoiseTokens(path: string): Promise<void> {
  await writeVirtualTokens(path, pseudoRandom(30 * demoWidth, 1, 1), demoWidth);
}

/** Virtual tokens for a model of half the demo's width. */
export async function writeNarrowTokens(path: string): Promise<void> {
  await writeVirtualTokens(path, pseudoRandom(5 * 64, 1, 0.02), 64);
}

/**
 * A model with random weights that is slow enough to be cancelled or killed in mid-answer, with the demo's
 * tokenizer. It writes nonsense and never an end-of-sequence token.
 */
export async function writeSlowModel(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const [hidden, intermediate, layers, heads] = [384, 1024, 6, 6];
  const config = JSON.parse(readFileSync(join(demo, 'config.json'), 'utf8')) as Record<string, unknown>;
  const vocabulary = config['vocab_size'] as number;
  Object.assign(config, {
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    head_dim: hidden / heads,
    max_position_embeddings: 2048,
    eos_token_id: vocabulary - 1,
    torch_dtype: 'float32',
  });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  for (const file of ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json']) {
    copyFileSync(join(demo, file), join(folder, file));
  }
  let seed = 1;
  const matrix = (name: string, rows: number, columns: number): TensorToWrite => {
    const own = seed++;
    return {
      name,
      dtype: 'F32',
      shape: [rows, columns],
      data: () => pseudoRandom(rows * columns, own, 0.04),
    };
  };
  const norm = (name: string): TensorToWrite => ({
    name,
    dtype: 'F32',
    shape: [hidden],
    data: new Float32Array(hidden).fill(1),
  });
  const tensors = [matrix('model.embed_tokens.weight', vocabulary, hidden), norm('model.norm.weight')];
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `model.layers.${String(layer)}`;
    tensors.push(norm(`${prefix}.input_layernorm.weight`), norm(`${prefix}.post_attention_layernorm.weight`));
    for (const projection of ['q', 'k', 'v', 'o']) {
      tensors.push(matrix(`${prefix}.self_attn.${projection}_proj.weight`, hidden, hidden));
    }
    tensors.push(matrix(`${prefix}.mlp.gate_proj.weight`, intermediate, hidden));
    tensors.push(matrix(`${prefix}.mlp.up_proj.weight`, intermediate, hidden));
    tensors.push(matrix(`${prefix}.mlp.down_proj.weight`, hidden, intermediate));
  }
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
}

/** Uniform numbers in -scale..scale, the same for the same seed (a linear congruential generator). */
function pseudoRandom(count: number, seed: number, scale: number): Float32Array {
  const values = new Float32Array(count);
  let state = (seed * 2654435761) >>> 0;
  for (let place = 0; place < count; place++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[place] = (state / 2 ** 31 - 1) * scale;
  }
  return values;
}
