/**
 * Writes a checkpoint's weights as a GGUF file, so that llama.cpp can run the same model: float32, or its Q8_0 and Q4_0
 * block formats (32 weights and a float16 scale). Format: ggml's docs/gguf.md, version 3.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts';
import { narrowFloat32, widenToFloat32 } from '../src/checkpoint/elementTypes.ts';
import { readTensor } from '../src/checkpoint/safetensors.ts';
import type { Checkpoint, TensorLocation } from '../src/checkpoint/types.ts';
import { distinctRopes } from '../src/decoder/rope.ts';

export type GgufType = 'F32' | 'Q8_0' | 'Q4_0';

const typeNumber = { F32: 0, Q4_0: 2, Q8_0: 8 } as const;
const blockBytes = { F32: 128, Q4_0: 18, Q8_0: 34 } as const;
const alignment = 32;

interface GgufTensor {
  name: string;
  type: GgufType;
  location: TensorLocation;
  /** Heads whose rows are interleaved for llama.cpp's rotary layout; 0: as they are. */
  heads: number;
}

/** Writes the checkpoint in `folder` to `file`. Token embeddings and head are never below Q8_0, as with our int4. */
export async function writeGguf(folder: string, file: string, type: GgufType): Promise<void> {
  const checkpoint = await openCheckpoint(folder);
  const tensors = ggufTensors(checkpoint, type);
  const metadata = encodeMetadata(checkpoint);
  const infos: Buffer[] = [];
  let offset = 0;
  for (const { name, type: stored, location } of tensors) {
    infos.push(text(name), uint32(location.shape.length));
    for (const size of location.shape.toReversed()) infos.push(uint64(size));
    infos.push(uint32(typeNumber[stored]), uint64(offset));
    offset += padded(byteLength(location, stored));
  }
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    uint32(3),
    uint64(tensors.length),
    uint64(metadata.count),
    metadata.bytes,
    ...infos,
  ]);
  const handle = await open(file, 'w');
  await writePadded(handle, head);
  for (const tensor of tensors) await writePadded(handle, await tensorBytes(tensor));
  await handle.close();
}

function ggufTensors({ config, tensors }: Checkpoint, type: GgufType): GgufTensor[] {
  const parts: Record<string, string> = {
    input_layernorm: 'attn_norm',
    'self_attn.q_proj': 'attn_q',
    'self_attn.k_proj': 'attn_k',
    'self_attn.v_proj': 'attn_v',
    'self_attn.o_proj': 'attn_output',
    post_attention_layernorm: 'ffn_norm',
    'mlp.gate_proj': 'ffn_gate',
    'mlp.up_proj': 'ffn_up',
    'mlp.down_proj': 'ffn_down',
  };
  const whole: Record<string, string> = {
    'model.embed_tokens.weight': 'token_embd.weight',
    'model.norm.weight': 'output_norm.weight',
    'lm_head.weight': 'output.weight',
  };
  const isLlama = config.architecture === 'LlamaForCausalLM';
  return [...tensors.values()].map((location) => {
    const match = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(location.name);
    const name = match ? `blk.${match[1]}.${parts[match[2]!]}.${match[3]}` : whole[location.name]!;
    const isMatrix = location.shape.length === 2;
    const embeds = name === 'token_embd.weight' || name === 'output.weight';
    const rotated = { attn_q: config.numHeads, attn_k: config.numKeyValueHeads }[name.split('.')[2] ?? ''];
    return {
      name,
      type: !isMatrix ? 'F32' : embeds && type === 'Q4_0' ? 'Q8_0' : type,
      location,
      heads: isLlama ? (rotated ?? 0) : 0,
    };
  });
}

async function tensorBytes({ location, type, heads }: GgufTensor): Promise<Uint8Array> {
  let values = await readTensor(location);
  if (heads > 0) values = interleaveHeads(values, heads, location.shape[0]! / heads);
  if (type === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return type === 'Q8_0' ? quantizeQ8(values) : quantizeQ4(values);
}

/** Row j * dim / 2 + i of a head becomes row 2 i + j: llama.cpp rotates neighbours, Hugging Face halves. */
function interleaveHeads(values: Float32Array, heads: number, headDim: number): Float32Array<ArrayBuffer> {
  const width = values.length / (heads * headDim);
  const result = new Float32Array(values.length);
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < headDim; row++) {
      const [j, i] = [Math.floor(row / (headDim / 2)), row % (headDim / 2)];
      const from = (head * headDim + row) * width;
      result.set(values.subarray(from, from + width), (head * headDim + 2 * i + j) * width);
    }
  }
  return result;
}

function quantizeQ8(values: Float32Array): Uint8Array {
  const blocks = values.length / 32;
  const bytes = new Uint8Array(blocks * blockBytes.Q8_0);
  const { scales, stored } = blockScales(values, (block) => Math.max(...block.map(Math.abs)) / 127);
  for (let b = 0; b < blocks; b++) {
    const at = b * blockBytes.Q8_0;
    bytes.set(stored.subarray(2 * b, 2 * b + 2), at);
    const inverse = scales[b] === 0 ? 0 : 1 / scales[b]!;
    for (let i = 0; i < 32; i++) bytes[at + 2 + i] = Math.round(values[b * 32 + i]! * inverse);
  }
  return bytes;
}

function quantizeQ4(values: Float32Array): Uint8Array {
  const blocks = values.length / 32;
  const bytes = new Uint8Array(blocks * blockBytes.Q4_0);
  const { scales, stored } = blockScales(values, (block) => {
    const extreme = block.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
    return extreme / -8;
  });
  for (let b = 0; b < blocks; b++) {
    const at = b * blockBytes.Q4_0;
    bytes.set(stored.subarray(2 * b, 2 * b + 2), at);
    const inverse = scales[b] === 0 ? 0 : 1 / scales[b]!;
    const level = (i: number): number =>
      Math.min(15, Math.max(0, Math.round(values[b * 32 + i]! * inverse) + 8));
    for (let i = 0; i < 16; i++) bytes[at + 2 + i] = level(i) | (level(i + 16) << 4);
  }
  return bytes;
}

/** The scale of every block, as float16 stores it. */
function blockScales(
  values: Float32Array,
  scaleOf: (block: Float32Array) => number,
): { scales: Float32Array; stored: Uint8Array } {
  const exact = Float32Array.from({ length: values.length / 32 }, (_, b) =>
    scaleOf(values.subarray(b * 32, b * 32 + 32)),
  );
  const stored = narrowFloat32(exact, 'F16');
  return { scales: widenToFloat32(stored, 'F16'), stored };
}

function encodeMetadata({ config }: Checkpoint): { count: number; bytes: Buffer } {
  const arch = config.architecture === 'Qwen2ForCausalLM' ? 'qwen2' : 'llama';
  const entries: [string, Buffer][] = [
    ['general.architecture', typed(8, text(arch))],
    [`${arch}.block_count`, typed(4, uint32(config.numLayers))],
    [`${arch}.context_length`, typed(4, uint32(config.maxPositionEmbeddings))],
    [`${arch}.embedding_length`, typed(4, uint32(config.hiddenSize))],
    [`${arch}.feed_forward_length`, typed(4, uint32(config.intermediateSize))],
    [`${arch}.attention.head_count`, typed(4, uint32(config.numHeads))],
    [`${arch}.attention.head_count_kv`, typed(4, uint32(config.numKeyValueHeads))],
    [`${arch}.attention.layer_norm_rms_epsilon`, typed(6, float32(config.rmsNormEps))],
    [`${arch}.rope.freq_base`, typed(6, float32(distinctRopes(config)[0]!.theta))],
    [`${arch}.vocab_size`, typed(4, uint32(config.vocabSize))],
    ['tokenizer.ggml.model', typed(8, text('gpt2'))],
    ['tokenizer.ggml.pre', typed(8, text('default'))],
    ['tokenizer.ggml.bos_token_id', typed(4, uint32(config.bosTokenId ?? 1))],
    ['tokenizer.ggml.eos_token_id', typed(4, uint32(config.eosTokenIds[0] ?? 2))],
    [
      'tokenizer.ggml.tokens',
      array(
        8,
        Array.from({ length: config.vocabSize }, (_, id) => text(`<t${id}>`)),
      ),
    ],
    [
      'tokenizer.ggml.token_type',
      array(
        5,
        Array.from({ length: config.vocabSize }, () => uint32(1)),
      ),
    ],
    ['tokenizer.ggml.merges', array(8, [text('< t')])],
  ];
  return {
    count: entries.length,
    bytes: Buffer.concat(entries.flatMap(([key, value]) => [text(key), value])),
  };
}

function typed(type: number, value: Buffer): Buffer {
  return Buffer.concat([uint32(type), value]);
}

function array(type: number, items: readonly Buffer[]): Buffer {
  return Buffer.concat([uint32(9), uint32(type), uint64(items.length), ...items]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint64(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

function uint64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
}

function float32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeFloatLE(value);
  return buffer;
}

function byteLength({ shape }: TensorLocation, type: GgufType): number {
  const elements = shape.reduce((a, b) => a * b, 1);
  return type === 'F32' ? 4 * elements : (elements / 32) * blockBytes[type];
}

function padded(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

async function writePadded(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  await handle.writeFile(bytes);
  await handle.writeFile(Buffer.alloc(padded(bytes.length) - bytes.length));
}
