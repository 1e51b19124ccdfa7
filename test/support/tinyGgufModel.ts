/** A Llama of one layer as a GGUF file that runs: for tests of what is refused, and with what it is compared. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { float32Bytes } from './ggufWriter.ts';
import type { GgufContent, MetadataValue, TensorEntry } from './ggufWriter.ts';

export const tinySizes = {
  hidden: 32,
  feedForward: 64,
  heads: 4,
  keyValueHeads: 2,
  vocabulary: 280,
  context: 128,
};

/**
 * The content of the file; `changes` replace values of keys (undefined: the key is left out), add keys, or replace
 * tensors by name (undefined: left out).
 */
export function tinyModel(
  changes: {
    metadata?: Record<string, MetadataValue | undefined>;
    tensors?: Record<string, TensorEntry | undefined>;
  } = {},
): GgufContent & Required<Pick<GgufContent, 'metadata' | 'tensors'>> {
  const metadata = new Map(Object.entries(standardMetadata()));
  for (const [key, value] of Object.entries(changes.metadata ?? {})) {
    if (value) metadata.set(key, value);
    else metadata.delete(key);
  }
  const tensors = new Map(standardTensors().map((tensor) => [tensor.name, tensor]));
  for (const [name, tensor] of Object.entries(changes.tensors ?? {})) {
    if (tensor) tensors.set(name, tensor);
    else tensors.delete(name);
  }
  return { metadata: [...metadata], tensors: [...tensors.values()] };
}

function standardMetadata(): Record<string, MetadataValue> {
  const { hidden, feedForward, heads, keyValueHeads, vocabulary, context } = tinySizes;
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const words = Array.from({ length: vocabulary - 259 }, (_, i) => `▁${String.fromCharCode(97 + i)}`);
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...words];
  const types = tokens.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1));
  return {
    'general.architecture': ['string', 'llama'],
    'general.name': ['string', 'tiny'],
    'llama.block_count': ['uint32', 1],
    'llama.context_length': ['uint32', context],
    'llama.embedding_length': ['uint32', hidden],
    'llama.feed_forward_length': ['uint32', feedForward],
    'llama.attention.head_count': ['uint32', heads],
    'llama.attention.head_count_kv': ['uint32', keyValueHeads],
    'llama.attention.layer_norm_rms_epsilon': ['float32', 1e-5],
    'llama.rope.freq_base': ['float32', 10000],
    'llama.rope.dimension_count': ['uint32', hidden / heads],
    'llama.vocab_size': ['uint32', vocabulary],
    'tokenizer.ggml.model': ['string', 'llama'],
    'tokenizer.ggml.tokens': ['array', 'string', tokens],
    'tokenizer.ggml.scores': ['array', 'float32', tokens.map((_, id) => -id)],
    'tokenizer.ggml.token_type': ['array', 'int32', types],
    'tokenizer.ggml.bos_token_id': ['uint32', 1],
    'tokenizer.ggml.eos_token_id': ['uint32', 2],
    'tokenizer.ggml.unknown_token_id': ['uint32', 0],
    'tokenizer.ggml.add_bos_token': ['bool', true],
  };
}

function standardTensors(): TensorEntry[] {
  const { hidden, feedForward, heads, keyValueHeads, vocabulary } = tinySizes;
  const keys = (hidden / heads) * keyValueHeads;
  const generator = xoroshiro128plus(1);
  const tensor = (name: string, ...dimensions: number[]): TensorEntry => ({
    name: `${name}.weight`,
    dimensions,
    data: float32Bytes(
      Float32Array.from({ length: dimensions.reduce((a, b) => a * b, 1) }, () =>
        name.includes('norm') ? 1 : generator.next() / 2 ** 33,
      ),
    ),
  });
  return [
    tensor('token_embd', hidden, vocabulary),
    tensor('output_norm', hidden),
    tensor('output', hidden, vocabulary),
    tensor('blk.0.attn_norm', hidden),
    tensor('blk.0.attn_q', hidden, hidden),
    tensor('blk.0.attn_k', hidden, keys),
    tensor('blk.0.attn_v', hidden, keys),
    tensor('blk.0.attn_output', hidden, hidden),
    tensor('blk.0.ffn_norm', hidden),
    tensor('blk.0.ffn_gate', hidden, feedForward),
    tensor('blk.0.ffn_up', hidden, feedForward),
    tensor('blk.0.ffn_down', feedForward, hidden),
  ];
}
