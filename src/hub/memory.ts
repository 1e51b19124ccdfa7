/**
 * How much memory a model needs, estimated from its shape alone, before anything is downloaded or loaded.
 */
import { totalmem } from 'node:os';
import { parseModelConfig } from '../checkpoint/config.ts';
import { keyValueBytes, prefillChunk, weightBytes, type WeightPrecision } from '../checkpoint/memory.ts';
import type { ModelShape } from './types.ts';

export type MemoryPrecision = WeightPrecision;
export const memoryPrecisions: readonly MemoryPrecision[] = ['f32', 'f16', 'int8', 'int4'];

export interface MemoryUse {
  precision: MemoryPrecision;
  /** `gpu` stands for every device but the CPU. */
  device: 'cpu' | 'gpu';
  /** Positions of the longest prompt with its answer. Default 1024 (three passages, question, answer). */
  contextTokens?: number;
  /** Variants that are decoded side by side. Default 3. */
  variants?: number;
}

/** All in bytes. */
export interface MemoryEstimate {
  weights: number;
  keyValueCache: number;
  /** Intermediate results of one prefill chunk, and the logits. */
  activations: number;
  /** The engine's process itself. */
  runtime: number;
  total: number;
}

/** What this machine has, in bytes. */
export interface MachineMemory {
  available: number;
  total: number;
}

/** `runs`: it fits now. `tight`: if other programs make room. `too-large`: never on this machine. */
export type MemoryFit = 'runs' | 'tight' | 'too-large';

/** Share of a prompt and its answer that a variant does not have in common with the others. */
const ownShare = 1 / 4;
/** Node and onnxruntime with nothing loaded. */
const runtimeBytes = 150e6;
/** Share of the machine's memory that a model may take: the system and the editor need the rest. */
const usableShare = 0.85;

/**
 * The memory that a comparison of some variants takes. On a GPU this is the GPU's memory (integrated ones share the
 * machine's). The CPU computes in float32 whatever the weights: f16 counts as f32 there.
 */
export function estimateMemory(shape: ModelShape, use: MemoryUse): MemoryEstimate {
  const { variants = 3 } = use;
  const contextTokens = Math.min(use.contextTokens ?? 1024, shape.maxPositionEmbeddings);
  const precision = use.device === 'cpu' && use.precision === 'f16' ? 'f32' : use.precision;
  const elementBytes = use.device === 'gpu' && precision !== 'f32' ? 2 : 4;
  const weights = weightBytes(shape, precision);
  // The last question's prompt is kept. Variants share what they can on the CPU; a GPU has a copy of all for each.
  const sequences = use.device === 'cpu' ? 1 + ownShare * variants : variants;
  const keyValueCache = keyValueBytes(shape, contextTokens * (1 + sequences), elementBytes);
  const perToken = 4 * shape.hiddenSize + 3 * shape.intermediateSize + shape.numHeads * contextTokens;
  const activations = (prefillChunk * perToken + variants * shape.vocabSize) * 4;
  const total = weights + keyValueCache + activations + runtimeBytes;
  return { weights, keyValueCache, activations, runtime: runtimeBytes, total };
}

/** Where the shape of a model in a file is not known: its keys, values and activations, as a share of the file. */
const shareBesideFile = 0.25;

/** The memory that a comparison takes with a model that runs as its file stores it (a GGUF), on the CPU, in bytes. */
export function estimateFileMemory(fileBytes: number, shape?: ModelShape): number {
  if (shape === undefined) return fileBytes * (1 + shareBesideFile) + runtimeBytes;
  const { total, weights } = estimateMemory(shape, { precision: 'f32', device: 'cpu' });
  return fileBytes + total - weights;
}

/** What this process may use: the machine's memory, or less where a container limits it. */
export function machineMemory(): MachineMemory {
  const constrained = process.constrainedMemory();
  const total = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return { available: Math.min(process.availableMemory(), total), total };
}

/** Whether an estimate fits a machine. */
export function memoryFit(neededBytes: number, memory: MachineMemory): MemoryFit {
  if (neededBytes <= memory.available * usableShare) return 'runs';
  return neededBytes <= memory.total * usableShare ? 'tight' : 'too-large';
}

/**
 * The most exact precision in which a model fits: the first that runs now, else the first that is tight, else
 * undefined (too large in every one).
 */
export function bestPrecision(
  shape: ModelShape,
  device: MemoryUse['device'],
  memory: MachineMemory,
): { precision: MemoryPrecision; fit: MemoryFit; bytes: number } | undefined {
  const fits = memoryPrecisions
    .filter((precision) => device === 'gpu' || precision !== 'f16')
    .map((precision) => {
      const bytes = estimateMemory(shape, { precision, device }).total;
      return { precision, bytes, fit: memoryFit(bytes, memory) };
    });
  return fits.find(({ fit }) => fit === 'runs') ?? fits.find(({ fit }) => fit === 'tight');
}

/** The shape that a config.json describes; undefined if it is no decoder's. Not a check: the loader does that. */
export function shapeOfConfig(config: Record<string, unknown>): ModelShape | undefined {
  try {
    const { hiddenSize, intermediateSize, numLayers, numHeads, numKeyValueHeads, headDim, ...others } =
      parseModelConfig(config, undefined, 'config.json');
    const { vocabSize, tieWordEmbeddings, maxPositionEmbeddings } = others;
    return {
      ...{ hiddenSize, intermediateSize, numLayers, numHeads, numKeyValueHeads, headDim },
      ...{ vocabSize, tieWordEmbeddings, maxPositionEmbeddings },
    };
  } catch {
    return usualShape(config);
  }
}

/** The sizes under their usual names, of whatever architecture. */
function usualShape(config: Record<string, unknown>): ModelShape | undefined {
  const size = (key: string): number | undefined => {
    const value = config[key];
    return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : undefined;
  };
  const hiddenSize = size('hidden_size');
  const intermediateSize = size('intermediate_size');
  const numLayers = size('num_hidden_layers');
  const numHeads = size('num_attention_heads');
  const vocabSize = size('vocab_size');
  if (!hiddenSize || !intermediateSize || !numLayers || !numHeads || !vocabSize) return undefined;
  return {
    hiddenSize,
    intermediateSize,
    numLayers,
    numHeads,
    numKeyValueHeads: size('num_key_value_heads') ?? numHeads,
    headDim: size('head_dim') ?? Math.floor(hiddenSize / numHeads),
    vocabSize,
    tieWordEmbeddings: config['tie_word_embeddings'] === true,
    maxPositionEmbeddings: size('max_position_embeddings') ?? 2048,
  };
}
