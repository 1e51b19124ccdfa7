/**
 * The architectures of GGUF files that are computed, by `general.architecture`: another one is a line in this table.
 * What a file does not say is as in llama.cpp's source (src/models, conversion).
 */
import { everyLayer, plainTraits } from '../architectures/rules.ts';
import type { Sizes, Traits } from '../architectures/rules.ts';
import type { Architecture, RopeConfig } from '../types.ts';
import type { ModelKeys } from './modelKeys.ts';

export interface GgufArchitecture {
  architecture: Architecture;
  /** Rows of queries and keys are stored as interleaved pairs. */
  interleaved: boolean;
  /** Only a part of a head may be rotated. */
  partialRotation?: true;
  /** Layers may have windows, as `attention.sliding_window` says. */
  windows?: true;
  /** `rope.freq_base` must be there. */
  needsBase?: true;
  /** Tensors with these beginnings are of parts that read images: they are left out. */
  otherParts?: readonly string[];
  /** Has factors on embeddings, residuals, scores and logits. */
  scales?: true;
  /** @param rope that of the layers without particular rules */
  traits: (keys: ModelKeys, sizes: Sizes, rope: RopeConfig) => Traits;
}

const plain: GgufArchitecture['traits'] = (_, sizes, rope) => plainTraits(sizes, everyLayer(sizes, rope));

export const ggufArchitectures: Readonly<Record<string, GgufArchitecture>> = {
  llama: { architecture: 'LlamaForCausalLM', interleaved: true, windows: true, traits: everyWindow },
  qwen2: { architecture: 'Qwen2ForCausalLM', interleaved: false, traits: plain },
  qwen3: {
    architecture: 'Qwen3ForCausalLM',
    interleaved: false,
    traits: (keys, sizes, rope) => ({ ...plain(keys, sizes, rope), queryKeyNorm: true }),
  },
  phi3: {
    architecture: 'Phi3ForCausalLM',
    interleaved: false,
    partialRotation: true,
    windows: true,
    traits: (keys, sizes, rope) => ({ ...everyWindow(keys, sizes, rope), fusedProjections: true }),
  },
  gemma3: {
    architecture: 'Gemma3ForCausalLM',
    interleaved: false,
    windows: true,
    needsBase: true,
    otherParts: ['v.', 'mm.'],
    traits: gemma3,
  },
  smollm3: {
    architecture: 'SmolLM3ForCausalLM',
    interleaved: true,
    traits: (_, sizes, rope) =>
      // no key says so: every fourth layer is without rotation
      plainTraits(
        sizes,
        everyLayer(sizes, rope).map((each, layer) => ((layer + 1) % 4 === 0 ? null : each)),
      ),
  },
  granite: { architecture: 'GraniteForCausalLM', interleaved: true, scales: true, traits: granite },
};

/** Mistral and Phi-3: the window, where there is one, is in every layer. */
function everyWindow(keys: ModelKeys, sizes: Sizes, rope: RopeConfig): Traits {
  return { ...plain(keys, sizes, rope), slidingWindows: everyLayer(sizes, windowOf(keys)) };
}

/** 0 means that there is none. */
function windowOf(keys: ModelKeys): number | null {
  const window = keys.file.metadata.integer(keys.full('attention.sliding_window'), 0);
  return window === 0 ? null : keys.size('attention.sliding_window', 2 ** 31);
}

/** Layers with a window are rotated with a base of their own and without scaling; the norms' weights carry their 1. */
function gemma3(keys: ModelKeys, sizes: Sizes, rope: RopeConfig): Traits {
  const window = windowOf(keys);
  const sliding = window === null ? everyLayer(sizes, false) : slidingLayers(keys, sizes);
  const base = keys.positive('rope.freq_base_swa', 10000);
  const local: RopeConfig = { type: 'default', theta: base, partialRotaryFactor: 1 };
  // The largest Gemma 3 has its scores scaled by another size, which only its number of layers tells.
  const scoreDim = sizes.numLayers === 62 ? sizes.hiddenSize / sizes.numHeads : sizes.headDim;
  return {
    ...plainTraits(
      sizes,
      sliding.map((isSliding) => (isSliding ? local : rope)),
      'gelu_tanh',
    ),
    slidingWindows: sliding.map((isSliding) => (isSliding ? window : null)),
    queryKeyNorm: true,
    normsAfterBlocks: true,
    scoreScale: 1 / Math.sqrt(scoreDim),
    embeddingScale: Math.sqrt(sizes.hiddenSize),
    exceedsFloat16: true,
  };
}

/** Every sixth layer sees all, unless the file has another number, or says it for each layer. */
function slidingLayers(keys: ModelKeys, sizes: Sizes): boolean[] {
  const key = keys.full('attention.sliding_window_pattern');
  const { metadata } = keys.file;
  if (metadata.isList(key)) {
    const list = metadata.numbers(key)!;
    if (list.length !== sizes.numLayers) throw metadata.error(key, `${sizes.numLayers} values, one a layer`);
    return Array.from(list, (isSliding) => isSliding !== 0);
  }
  const pattern = keys.size('attention.sliding_window_pattern', 1024, 6);
  return Array.from({ length: sizes.numLayers }, (_, layer) => (layer + 1) % pattern !== 0);
}

function granite(keys: ModelKeys, sizes: Sizes, rope: RopeConfig): Traits {
  // Where this is false, llama.cpp rotates nothing.
  const finetuned = keys.full('rope.scaling.finetuned');
  if (!keys.file.metadata.boolean(finetuned, true)) {
    throw keys.file.metadata.error(finetuned, 'true: a Granite without rotation is not supported');
  }
  return {
    ...plain(keys, sizes, rope),
    embeddingScale: keys.positiveOrUnset('embedding_scale', 1),
    residualScale: keys.positiveOrUnset('residual_scale', 1),
    scoreScale: keys.positiveOrUnset('attention.scale', 1 / Math.sqrt(sizes.headDim)),
    logitsScale: 1 / keys.positiveOrUnset('logit_scale', 1),
  };
}
