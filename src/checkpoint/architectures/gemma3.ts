/**
 * Gemma 3: scaled embeddings, norms of weight 1 + w before and after every block and of queries and keys, GeGLU, and
 * five layers with a window (and a rotation of their own) to one without. Source: transformers, `models/gemma3`.
 */
import type { ConfigReader } from '../configReader.ts';
import { parseRope } from '../ropeConfig.ts';
import type { RopeConfig } from '../types.ts';
import {
  biasesOf,
  commonTraits,
  everyLayer,
  parseActivation,
  slidingLayers,
  type ArchitectureRules,
  type Sizes,
} from './rules.ts';

export const gemma3: ArchitectureRules = {
  defaults: {
    rmsNormEps: 1e-6,
    maxPositionEmbeddings: 131072,
    vocabSize: 262208,
    numHeads: 8,
    numKeyValueHeads: 4,
    headDim: 256,
    tieWordEmbeddings: true,
  },
  traits: (config, sizes) => {
    const pattern = config.positiveInteger('sliding_window_pattern', 6);
    const sliding =
      slidingLayers(config, sizes) ?? everyLayer(sizes, 0).map((_, layer) => (layer + 1) % pattern !== 0);
    const window = config.positiveInteger('sliding_window', 4096);
    const { global, local } = rotations(config, sizes);
    return {
      ...commonTraits(config, sizes, {
        ropes: sliding.map((isSliding) => (isSliding ? local : global)),
        activation: parseActivation(config, 'hidden_activation', 'gelu_pytorch_tanh'),
      }),
      slidingWindows: sliding.map((isSliding) => (isSliding ? window : null)),
      attentionBias: biasesOf(config).attentionBias,
      queryKeyNorm: true,
      normsAfterBlocks: true,
      normWeightOffset: 1,
      scoreScale: 1 / Math.sqrt(config.positiveNumber('query_pre_attn_scalar', 256)),
      embeddingScale: Math.sqrt(sizes.hiddenSize),
      exceedsFloat16: true,
    };
  },
};

/** Gemma 3 beside a vision model: config.json has the decoder's fields in `text_config`. */
export const gemma3WithVision: ArchitectureRules = { ...gemma3, textPart: true };

/**
 * transformers 4 writes `rope_theta` and `rope_scaling` for the layers without window and `rope_local_base_freq` for
 * the others, transformers 5 `rope_parameters` for each layer type.
 */
function rotations(config: ConfigReader, sizes: Sizes): { global: RopeConfig; local: RopeConfig } {
  const perType = config.object('rope_parameters');
  const others = Object.keys(perType ?? {}).filter(
    (key) => key !== 'full_attention' && key !== 'sliding_attention',
  );
  if (others.length > 0 || (perType && config.has('rope_scaling'))) {
    throw config.error(
      'rope_parameters',
      'an object for each of "full_attention" and "sliding_attention", and no rope_scaling beside it',
    );
  }
  const types = config.reader('rope_parameters');
  const global = parseRope(config, sizes, {
    parameters: types.object('full_attention') ?? config.object('rope_scaling') ?? {},
    theta: config.positiveNumber('rope_theta', 1e6),
  });
  const local = parseRope(config, sizes, {
    parameters: types.object('sliding_attention') ?? {},
    theta: config.positiveNumber('rope_local_base_freq', 1e4),
  });
  return { global, local: JSON.stringify(local) === JSON.stringify(global) ? global : local };
}
