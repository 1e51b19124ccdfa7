/** What a GGUF file holds and whether it can run here, by its header alone. */
import { blockFormats } from '../checkpoint/gguf/blocks/formats.ts';
import { openGguf } from '../checkpoint/gguf/file.ts';
import type { GgufFile } from '../checkpoint/gguf/file.ts';
import type { GgufMetadata } from '../checkpoint/gguf/metadata.ts';
import { quoted } from '../checkpoint/quotedText.ts';
import { messageOf } from '../protocol/errors.ts';
import type { LocalModel } from '../protocol/localModels.ts';
import { estimateFileMemory } from './memory.ts';
import type { ModelShape } from './types.ts';

export type GgufFacts = Pick<
  LocalModel,
  | 'bytes'
  | 'architecture'
  | 'quantization'
  | 'parameters'
  | 'contextLength'
  | 'chat'
  | 'memoryBytes'
  | 'problem'
>;

/** Nothing but its size is known. */
export function unknownFacts(bytes: number, problem: string | null): GgufFacts {
  return {
    ...{ bytes, architecture: '', quantization: null, parameters: null, contextLength: null, chat: false },
    ...{ memoryBytes: null, problem },
  };
}

/** Reads a header. A file that is damaged, or no GGUF at all, has a `problem`: nothing is thrown. */
export async function ggufFacts(path: string, bytes: number): Promise<GgufFacts> {
  let file: GgufFile;
  try {
    file = await openGguf(path, { arrays: false });
  } catch (error) {
    return unknownFacts(bytes, messageOf(error));
  }
  try {
    return factsOf(file);
  } catch (error) {
    return unknownFacts(file.bytes, messageOf(error));
  }
}

/** Architectures of GGUF files that run, by `general.architecture`. */
const architectures = ['llama', 'qwen2', 'qwen3', 'phi3', 'gemma3', 'smollm3', 'granite'];
/** Architectures of models that make vectors and no text. */
const encoders = /bert|^t5encoder$|embedding/;
const floatTypes = ['F32', 'F16', 'BF16'];

/** llama.cpp's names of `general.file_type`, by their numbers. */
const fileTypes: Readonly<Record<number, string>> = {
  ...{ 0: 'F32', 1: 'F16', 2: 'Q4_0', 3: 'Q4_1', 7: 'Q8_0', 8: 'Q5_0', 9: 'Q5_1', 10: 'Q2_K', 11: 'Q3_K_S' },
  ...{ 12: 'Q3_K_M', 13: 'Q3_K_L', 14: 'Q4_K_S', 15: 'Q4_K_M', 16: 'Q5_K_S', 17: 'Q5_K_M', 18: 'Q6_K' },
  ...{ 19: 'IQ2_XXS', 20: 'IQ2_XS', 21: 'Q2_K_S', 22: 'IQ3_XS', 23: 'IQ3_XXS', 24: 'IQ1_S', 25: 'IQ4_NL' },
  ...{ 26: 'IQ3_S', 27: 'IQ3_M', 28: 'IQ2_S', 29: 'IQ2_M', 30: 'IQ4_XS', 31: 'IQ1_M', 32: 'BF16' },
  ...{ 36: 'TQ1_0', 37: 'TQ2_0', 38: 'MXFP4' },
};

function factsOf(file: GgufFile): GgufFacts {
  const { metadata, bytes } = file;
  const architecture = metadata.string('general.architecture', '');
  const contextLength = metadata.integer(`${architecture}.context_length`, 0);
  const shape = shapeOf(file, architecture);
  return {
    ...{ bytes, architecture, quantization: quantizationOf(file) },
    parameters: parametersOf(file),
    contextLength: contextLength > 0 ? contextLength : null,
    chat: metadata.has('tokenizer.chat_template'),
    memoryBytes: estimateFileMemory(bytes, shape),
    problem: problemOf(file, architecture),
  };
}

function problemOf({ metadata, tensors }: GgufFile, architecture: string): string | null {
  const type = metadata.string('general.type', 'model');
  if (type === 'adapter') return 'It is a LoRA adapter, not a model.';
  if (type === 'mmproj' || architecture === 'clip')
    return 'It is the vision part of a model, not a language model.';
  if (type === 'imatrix') return 'It holds statistics for quantising a model, not a model.';
  const pooling = metadata.has(`${architecture}.pooling_type`)
    ? metadata.integer(`${architecture}.pooling_type`, 0)
    : 0;
  if (encoders.test(architecture) || pooling > 0) return 'It is an embedding model: it makes no text.';
  if (!architectures.includes(architecture)) {
    return `Its architecture ${quoted(architecture)} is not supported. These run: ${architectures.join(', ')}.`;
  }
  if (tensors.size === 0) return 'It holds no weights.';
  const types = new Set([...tensors.values()].map(({ dtype }) => dtype as string));
  const formats: Readonly<Record<string, { layout?: unknown } | undefined>> = blockFormats;
  const unusable = [...types].filter(
    (name) => !floatTypes.includes(name) && formats[name]?.layout === undefined,
  );
  if (unusable.length === 0) return null;
  return `Its weights are stored as ${unusable.join(', ')}, which does not run: take another quantisation of the model, such as Q4_K_M.`;
}

/** As the file says, else the type that most of its bytes have. */
function quantizationOf({ metadata, tensors }: GgufFile): string | null {
  const named = metadata.has('general.file_type')
    ? fileTypes[metadata.integer('general.file_type', -1)]
    : undefined;
  if (named !== undefined) return named;
  const bytes = new Map<string, number>();
  for (const { dtype, length } of tensors.values()) bytes.set(dtype, (bytes.get(dtype) ?? 0) + length);
  const [most] = [...bytes].sort((a, b) => b[1] - a[1]);
  return most?.[0] ?? null;
}

function parametersOf({ tensors }: GgufFile): number {
  let sum = 0;
  for (const { shape } of tensors.values()) sum += shape.reduce((product, size) => product * size, 1);
  return sum;
}

/** What decides the memory of keys and values; undefined where a size is missing or is not one for all layers. */
function shapeOf({ metadata, tensors }: GgufFile, architecture: string): ModelShape | undefined {
  const size = (key: string, fallback = 0): number => sizeIn(metadata, `${architecture}.${key}`) ?? fallback;
  const hiddenSize = size('embedding_length');
  const numHeads = size('attention.head_count');
  const shape: ModelShape = {
    ...{
      hiddenSize,
      intermediateSize: size('feed_forward_length'),
      numLayers: size('block_count'),
      numHeads,
    },
    numKeyValueHeads: size('attention.head_count_kv', numHeads),
    headDim: size('attention.key_length', Math.floor(hiddenSize / Math.max(1, numHeads))),
    vocabSize: tensors.get('token_embd.weight')?.shape[0] ?? 0,
    tieWordEmbeddings: !tensors.has('output.weight'),
    maxPositionEmbeddings: size('context_length', 2048),
  };
  const sizes = Object.values(shape).filter((value): value is number => typeof value === 'number');
  return sizes.every((value) => value > 0) ? shape : undefined;
}

function sizeIn(metadata: GgufMetadata, key: string): number | undefined {
  try {
    return metadata.has(key) ? metadata.integer(key) : undefined;
  } catch {
    return undefined; // one for each layer, or nonsense: the loader says what
  }
}
