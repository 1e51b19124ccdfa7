/** Small sound GGUF files with the header of a language model: for lists of models, not to be run. */
import { float32Bytes, ggufBytes, type MetadataValue } from './ggufWriter.ts';

/** ggml's number of a type whose blocks hold 32 values, and a block's bytes. */
const q4_0 = { type: 2, blockBytes: 18 };

export interface TinyGguf {
  architecture?: string;
  metadata?: readonly (readonly [key: string, value: MetadataValue])[];
  /** ggml's number and bytes of a type of blocks of 256 values, for the one matrix; Q4_0 if absent. */
  matrix?: { type: number; blockBytes: number };
  /** Makes the file another one. */
  seed?: number;
}

/** The bytes of a file: a model of 32 rows of 256 values with two layers. */
export function tinyGguf({ architecture = 'llama', metadata = [], matrix, seed = 0 }: TinyGguf = {}): Buffer {
  const size = (key: string, value: number): readonly [string, MetadataValue] => [
    `${architecture}.${key}`,
    ['uint32', value],
  ];
  const own = new Set(metadata.map(([key]) => key));
  const standard: (readonly [string, MetadataValue])[] = [
    ['general.architecture', ['string', architecture]],
    size('context_length', 1024),
    size('embedding_length', 256),
    size('block_count', 2),
    size('feed_forward_length', 512),
    size('attention.head_count', 4),
    size('attention.head_count_kv', 2),
    ['tokenizer.ggml.tokens', ['array', 'string', Array.from({ length: 32 }, (_, id) => `token ${id}`)]],
  ];
  const bytes = 32 * (matrix?.blockBytes ?? 8 * q4_0.blockBytes);
  return ggufBytes({
    metadata: [...standard.filter(([key]) => !own.has(key)), ...metadata],
    tensors: [
      {
        name: 'token_embd.weight',
        ...{ dimensions: [256, 32], type: matrix?.type ?? q4_0.type },
        data: new Uint8Array(bytes),
      },
      { name: 'output_norm.weight', dimensions: [256], data: float32Bytes(new Float32Array(256).fill(seed)) },
    ],
  });
}

/** The metadata of a part of a split file. */
export function splitMetadata(number: number, count: number, tensors: number): [string, MetadataValue][] {
  return [
    ['split.no', ['uint16', number]],
    ['split.count', ['uint16', count]],
    ['split.tensors.count', ['int32', tensors]],
  ];
}
