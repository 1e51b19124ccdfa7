/**
 * Writes checkpoints of random weights in Hugging Face's layout, in the shapes of known models: speed and memory do not
 * depend on what the weights say. Token i is the text `<ti>`, as in the tests' oracle.
 */
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expectedTensors } from '../src/checkpoint/layers.ts';
import { parseModelConfig } from '../src/checkpoint/config.ts';
import { bytesPerElement, narrowFloat32 } from '../src/checkpoint/elementTypes.ts';
import type { WeightType } from '../src/checkpoint/types.ts';

const common = { hidden_act: 'silu', rms_norm_eps: 1e-5, bos_token_id: 1, eos_token_id: 2 };

/** config.json of each shape. */
export const shapes = {
  'smollm2-135m': {
    ...common,
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 576,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    intermediate_size: 1536,
    vocab_size: 49152,
    max_position_embeddings: 8192,
    rope_theta: 100000,
    tie_word_embeddings: true,
  },
  'qwen2.5-0.5b': {
    ...common,
    architectures: ['Qwen2ForCausalLM'],
    model_type: 'qwen2',
    hidden_size: 896,
    num_hidden_layers: 24,
    num_attention_heads: 14,
    num_key_value_heads: 2,
    intermediate_size: 4864,
    vocab_size: 151936,
    max_position_embeddings: 32768,
    rope_theta: 1000000,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
  },
  'qwen2.5-1.5b': {
    ...common,
    architectures: ['Qwen2ForCausalLM'],
    model_type: 'qwen2',
    hidden_size: 1536,
    num_hidden_layers: 28,
    num_attention_heads: 12,
    num_key_value_heads: 2,
    intermediate_size: 8960,
    vocab_size: 151936,
    max_position_embeddings: 32768,
    rope_theta: 1000000,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
  },
  'qwen2.5-7b': {
    ...common,
    architectures: ['Qwen2ForCausalLM'],
    model_type: 'qwen2',
    hidden_size: 3584,
    num_hidden_layers: 28,
    num_attention_heads: 28,
    num_key_value_heads: 4,
    intermediate_size: 18944,
    vocab_size: 152064,
    max_position_embeddings: 32768,
    rope_theta: 1000000,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
  },
} as const;
export type Shape = keyof typeof shapes;

/** Writes a checkpoint folder, tensor by tensor. */
export async function writeRandomCheckpoint(
  folder: string,
  shape: Shape,
  type: WeightType = 'F32',
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const config = shapes[shape];
  await writeFile(join(folder, 'config.json'), JSON.stringify(config, null, 2));
  await writeFile(join(folder, 'tokenizer.json'), tokenizerJson(config.vocab_size));
  const tokenizer = { tokenizer_class: 'PreTrainedTokenizerFast', clean_up_tokenization_spaces: false };
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify(tokenizer));
  const parsed = parseModelConfig({ ...config }, undefined, join(folder, 'config.json'));
  await writeWeights(join(folder, 'model.safetensors'), expectedTensors(parsed), type);
}

async function writeWeights(
  file: string,
  tensors: ReadonlyMap<string, number[]>,
  type: WeightType,
): Promise<void> {
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const [name, dims] of tensors) {
    const begin = end;
    end += dims.reduce((a, b) => a * b, bytesPerElement[type]);
    header[name] = { dtype: type, shape: dims, data_offsets: [begin, end] };
  }
  const text = JSON.stringify(header);
  const padded = text.padEnd(Math.ceil(text.length / 8) * 8);
  const handle = await open(file, 'w');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  await handle.writeFile(length);
  await handle.writeFile(padded);
  const random = randomPool();
  const norms = narrowFloat32(
    random.map((value) => 1 + 0.1 * value),
    type,
  );
  const others = narrowFloat32(
    random.map((value) => 0.04 * value),
    type,
  );
  for (const [index, [name, dims]] of [...tensors].entries()) {
    const pool = name.endsWith('norm.weight') ? norms : others;
    let remaining = dims.reduce((a, b) => a * b, bytesPerElement[type]);
    // every tensor starts elsewhere in the pool: the runtime keeps equal tensors once, which would flatter the figures
    let start = (index * 7919 * 4) % (pool.length / 2);
    while (remaining > 0) {
      const piece = pool.subarray(start, Math.min(pool.length, start + remaining));
      await handle.writeFile(piece);
      remaining -= piece.length;
      start = (start + 4 * 1237) % 65536;
    }
  }
  await handle.close();
}

/** A million normal deviates (Box and Muller) of a fixed seed. */
function randomPool(): Float32Array {
  let state = 12345;
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return ((state >>> 0) + 0.5) / 2 ** 32;
  };
  return Float32Array.from(
    { length: 1 << 20 },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

/** A tokenizer in which token i is the text `<ti>`. */
export function tokenizerJson(vocabSize: number): string {
  const vocab = Object.fromEntries(Array.from({ length: vocabSize }, (_, id) => [`<t${id}>`, id]));
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'Split', pattern: { Regex: '<t[0-9]+>' }, behavior: 'Isolated', invert: false },
    post_processor: null,
    decoder: { type: 'Fuse' },
    model: { type: 'BPE', vocab, merges: [], unk_token: null, ignore_merges: true },
  });
}
