/**
 * Checkpoint folders as GGUF files, in the way of llama.cpp's converter (conversion/*.py): its names and keys, rows of
 * queries and keys of Llama's family as interleaved pairs, Gemma's norms with their 1 added, Llama 3's rope factors as
 * a tensor. In float32. The vocabulary is the 256 bytes, then fillers: enough for prompts of token ids.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts';
import { readRows } from '../../src/checkpoint/tensorRows.ts';
import type { Checkpoint } from '../../src/checkpoint/types.ts';
import { float32Bytes } from './ggufWriter.ts';
import type { GgufContent, MetadataValue, TensorEntry } from './ggufWriter.ts';

const families: Readonly<Record<string, { name: string; interleaved: boolean }>> = {
  LlamaForCausalLM: { name: 'llama', interleaved: true },
  MistralForCausalLM: { name: 'llama', interleaved: true },
  SmolLM3ForCausalLM: { name: 'smollm3', interleaved: true },
  GraniteForCausalLM: { name: 'granite', interleaved: true },
  Qwen2ForCausalLM: { name: 'qwen2', interleaved: false },
  Qwen3ForCausalLM: { name: 'qwen3', interleaved: false },
  Phi3ForCausalLM: { name: 'phi3', interleaved: false },
  Gemma3ForCausalLM: { name: 'gemma3', interleaved: false },
};

type Json = Record<string, unknown>;
type Entry = readonly [key: string, value: MetadataValue];

/** What a checkpoint folder is as a GGUF file. */
export async function ggufOf(folder: string): Promise<GgufContent> {
  const checkpoint = await openCheckpoint(folder);
  const json = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Json;
  const config = (json['text_config'] as Json | undefined) ?? json;
  const family = families[checkpoint.config.architecture]!;
  const tensors = [...ropeFactors(checkpoint)];
  for (const [name, { shape }] of checkpoint.tensors) {
    tensors.push({
      name: ggufName(name, family.name === 'gemma3'),
      dimensions: shape.toReversed(),
      data: float32Bytes(await converted(checkpoint, name, config)),
    });
  }
  return { metadata: [...modelKeys(checkpoint, config), ...vocabulary(checkpoint)], tensors };
}

function modelKeys({ config: model }: Checkpoint, config: Json): Entry[] {
  const { name } = families[model.architecture]!;
  const u32 = (key: string, value: unknown): Entry => [`${name}.${key}`, ['uint32', Number(value)]];
  const f32 = (key: string, value: unknown): Entry => [`${name}.${key}`, ['float32', Number(value)]];
  const scaling = (config['rope_scaling'] ?? {}) as Record<string, string | number>;
  const type = scaling['rope_type'] ?? scaling['type'];
  const rope = model.ropes.find((each) => each?.type !== 'default' && each !== null) ?? model.ropes[0]!;
  const entries: Entry[] = [
    ['general.architecture', ['string', name]],
    u32('block_count', model.numLayers),
    u32('context_length', model.maxPositionEmbeddings),
    u32('embedding_length', model.hiddenSize),
    u32('feed_forward_length', model.intermediateSize),
    u32('attention.head_count', model.numHeads),
    u32('attention.head_count_kv', model.numKeyValueHeads),
    f32('attention.layer_norm_rms_epsilon', model.rmsNormEps),
    f32('rope.freq_base', config['rope_theta'] ?? 10000),
    u32('vocab_size', model.vocabSize),
    u32('rope.dimension_count', model.headDim * rope.partialRotaryFactor),
  ];
  if (config['head_dim'] !== undefined) {
    entries.push(u32('attention.key_length', model.headDim), u32('attention.value_length', model.headDim));
  }
  const window = model.slidingWindows.find((each) => each !== null);
  if (window !== undefined) entries.push(u32('attention.sliding_window', window));
  if (type === 'linear' || type === 'yarn') {
    entries.push([`${name}.rope.scaling.type`, ['string', type]]);
    entries.push(f32('rope.scaling.factor', scaling['factor']));
  }
  if (type === 'yarn' || name === 'phi3') {
    entries.push(
      u32(
        'rope.scaling.original_context_length',
        rope.originalMaxPositionEmbeddings ?? model.maxPositionEmbeddings,
      ),
    );
  }
  if (type === 'longrope') {
    const original = rope.originalMaxPositionEmbeddings!;
    const ratio = model.maxPositionEmbeddings / original;
    entries.push(f32('rope.scaling.attn_factor', Math.sqrt(1 + Math.log(ratio) / Math.log(original))));
  }
  if (name === 'granite') {
    entries.push(f32('embedding_scale', config['embedding_multiplier']));
    entries.push(f32('residual_scale', config['residual_multiplier']));
    entries.push(f32('attention.scale', config['attention_multiplier']));
    entries.push(f32('logit_scale', config['logits_scaling']));
  }
  return entries;
}

function vocabulary({ config }: Checkpoint): Entry[] {
  // GPT-2's characters for bytes: printable ones stand for themselves, the others for those from 256 on
  const printable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let others = 256;
  const bytes = Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(printable(byte) ? byte : others++),
  );
  const tokens = Array.from({ length: config.vocabSize }, (_, id) => bytes[id] ?? `filler ${id}`);
  const id = (role: string, value: number | null | undefined): Entry[] =>
    typeof value === 'number' ? [[`tokenizer.ggml.${role}_token_id`, ['uint32', value]]] : [];
  return [
    ['tokenizer.ggml.model', ['string', 'gpt2']],
    ['tokenizer.ggml.pre', ['string', 'gpt-2']],
    ['tokenizer.ggml.tokens', ['array', 'string', tokens]],
    ['tokenizer.ggml.token_type', ['array', 'int32', tokens.map(() => 1)]],
    ['tokenizer.ggml.merges', ['array', 'string', ['a b']]],
    ...id('bos', config.bosTokenId),
    ...id('eos', config.eosTokenIds[0]),
    ...id('eot', config.eosTokenIds[1]),
  ];
}

/** Llama 3's scaling as one divisor for each frequency, Phi-3's as two lists of them. */
function ropeFactors({ config }: Checkpoint): TensorEntry[] {
  const [rope] = config.ropes;
  const entry = (name: string, values: readonly number[]): TensorEntry => ({
    name: `${name}.weight`,
    dimensions: [values.length],
    data: float32Bytes(values),
  });
  if (rope?.type === 'longrope') {
    return [entry('rope_factors_long', rope.longFactor!), entry('rope_factors_short', rope.shortFactor!)];
  }
  if (rope?.type !== 'llama3') return [];
  const { factor, lowFreqFactor: low, highFreqFactor: high, originalMaxPositionEmbeddings: original } = rope;
  const divisors = Array.from({ length: config.headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * rope.theta ** ((2 * i) / config.headDim);
    if (wavelength < original! / high!) return 1;
    if (wavelength > original! / low!) return factor!;
    const smooth = (original! / wavelength - low!) / (high! - low!);
    return 1 / ((1 - smooth) / factor! + smooth);
  });
  return [entry('rope_freqs', divisors)];
}

async function converted(checkpoint: Checkpoint, name: string, config: Json): Promise<Float32Array> {
  const { architecture, headDim, normWeightOffset } = checkpoint.config;
  const location = checkpoint.tensors.get(name)!;
  const rows = location.shape.length === 1 ? 1 : location.shape[0]!;
  const values = await readRows(location, 0, rows);
  if (name.endsWith('norm.weight')) {
    // The format has no scale of Gemma's scores: where it is not that of the head, it goes into the queries' norm.
    const asked = Number(config['query_pre_attn_scalar'] ?? headDim);
    const scale = name.endsWith('q_norm.weight') ? Math.sqrt(headDim / asked) : 1;
    return values.map((value) => (value + normWeightOffset) * scale);
  }
  if (!families[architecture]!.interleaved || !/self_attn\.[qk]_proj/.test(name)) return values;
  // (heads, 2, headDim / 2, columns) becomes (heads, headDim / 2, 2, columns)
  const columns = values.length / location.shape[0]!;
  const result = new Float32Array(values.length);
  for (let row = 0; row < location.shape[0]!; row++) {
    const head = Math.floor(row / headDim);
    const half = Math.floor((row % headDim) / (headDim / 2));
    const to = head * headDim + 2 * (row % (headDim / 2)) + half;
    result.set(values.subarray(row * columns, (row + 1) * columns), to * columns);
  }
  return result;
}

const names: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens/, 'token_embd'],
  [/^model\.norm/, 'output_norm'],
  [/^lm_head/, 'output'],
  [/^model\.layers/, 'blk'],
  [/self_attn\.q_proj/, 'attn_q'],
  [/self_attn\.k_proj/, 'attn_k'],
  [/self_attn\.v_proj/, 'attn_v'],
  [/self_attn\.qkv_proj/, 'attn_qkv'],
  [/self_attn\.o_proj/, 'attn_output'],
  [/self_attn\.q_norm/, 'attn_q_norm'],
  [/self_attn\.k_norm/, 'attn_k_norm'],
  [/mlp\.gate_proj/, 'ffn_gate'],
  [/mlp\.(gate_)?up_proj/, 'ffn_up'],
  [/mlp\.down_proj/, 'ffn_down'],
  [/input_layernorm/, 'attn_norm'],
  [/pre_feedforward_layernorm/, 'ffn_norm'],
  [/post_feedforward_layernorm/, 'post_ffw_norm'],
];

function ggufName(name: string, gemma: boolean): string {
  const afterAttention = gemma ? 'post_attention_norm' : 'ffn_norm';
  return names
    .reduce((result, [pattern, replacement]) => result.replace(pattern, replacement), name)
    .replace('post_attention_layernorm', afterAttention);
}
