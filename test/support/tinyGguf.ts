/** Small sound GGUF files of models in Llama's architecture: complete, but with weights of zeros. */
import { float32Bytes, ggufBytes, type MetadataValue, type TensorEntry } from './ggufWriter.ts';

/** ggml's number of the type, and the bytes of its blocks of 32 values. */
const q4_0 = { type: 2, blockBytes: 18 };
const hidden = 64;
const intermediate = 96;
const vocabulary = 32;
const layers = 2;
const keyValueWidth = 32;

export interface TinyGguf {
  architecture?: string;
  /** Besides the usual, or instead of it. */
  metadata?: readonly (readonly [key: string, value: MetadataValue])[];
  /** Makes the file another one. */
  seed?: number;
}

/** The number of weights in such a file. */
export const tinyParameters =
  vocabulary * hidden +
  hidden +
  layers * (2 * hidden + hidden * (2 * hidden + 2 * keyValueWidth + 3 * intermediate));

/** The bytes of a file: two layers, four heads of 16 values, two of keys and values. */
export function tinyGguf({ architecture = 'llama', metadata = [], seed = 0 }: TinyGguf = {}): Buffer {
  const own = new Set(metadata.map(([key]) => key));
  const size = (key: string, value: number): readonly [string, MetadataValue] => [
    `${architecture}.${key}`,
    ['uint32', value],
  ];
  const standard: (readonly [string, MetadataValue])[] = [
    ['general.architecture', ['string', architecture]],
    size('context_length', 1024),
    size('embedding_length', hidden),
    size('block_count', layers),
    size('feed_forward_length', intermediate),
    size('attention.head_count', 4),
    size('attention.head_count_kv', 2),
    [`${architecture}.attention.layer_norm_rms_epsilon`, ['float32', 1e-5]],
    ['tokenizer.ggml.model', ['string', 'gpt2']],
    ['tokenizer.ggml.pre', ['string', 'smollm']],
    [
      'tokenizer.ggml.tokens',
      ['array', 'string', Array.from({ length: vocabulary }, (_, id) => `token ${id}`)],
    ],
  ];
  const matrix = (name: string, rows: number, columns: number): TensorEntry => ({
    name: `${name}.weight`,
    ...{ dimensions: [columns, rows], type: q4_0.type },
    data: new Uint8Array((rows * columns * q4_0.blockBytes) / 32),
  });
  const norm = (name: string): TensorEntry => ({
    name: `${name}.weight`,
    dimensions: [hidden],
    data: float32Bytes(new Float32Array(hidden).fill(seed)),
  });
  const tensors = [matrix('token_embd', vocabulary, hidden), norm('output_norm')];
  for (let layer = 0; layer < layers; layer++) {
    const at = `blk.${layer}.`;
    tensors.push(
      ...[norm(`${at}attn_norm`), norm(`${at}ffn_norm`)],
      ...[matrix(`${at}attn_q`, hidden, hidden), matrix(`${at}attn_output`, hidden, hidden)],
      ...[matrix(`${at}attn_k`, keyValueWidth, hidden), matrix(`${at}attn_v`, keyValueWidth, hidden)],
      ...[matrix(`${at}ffn_gate`, intermediate, hidden), matrix(`${at}ffn_up`, intermediate, hidden)],
      matrix(`${at}ffn_down`, hidden, intermediate),
    );
  }
  return ggufBytes({ metadata: [...standard.filter(([key]) => !own.has(key)), ...metadata], tensors });
}

/** The metadata of a part of a split file. */
export function splitMetadata(number: number, count: number, tensors: number): [string, MetadataValue][] {
  return [
    ['split.no', ['uint16', number]],
    ['split.count', ['uint16', count]],
    ['split.tensors.count', ['int32', tensors]],
  ];
}
