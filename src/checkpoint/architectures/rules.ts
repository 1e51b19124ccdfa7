/** What the rules of an architecture are, and what most architectures share. */
import type { ConfigReader } from '../configReader.ts';
import { parseRope } from '../ropeConfig.ts';
import type { ModelConfig } from '../types.ts';

export interface ArchitectureRules {
  /** What transformers assumes where a config.json is silent; a size without a default must be there. */
  defaults: {
    rmsNormEps: number;
    maxPositionEmbeddings: number;
    vocabSize?: number;
    numHeads?: number;
    /** Absent: as many as there are heads. */
    numKeyValueHeads?: number;
    /** Absent: hidden size / heads. */
    headDim?: number;
    tieWordEmbeddings?: boolean;
  };
  /** config.json has the decoder's fields in `text_config`, and the decoder is a part of the model. */
  textPart?: true;
  /** @throws UserError for values that are not supported */
  traits: (config: ConfigReader, sizes: Sizes) => Traits;
}

/** What is read before the traits. */
export type Sizes = Pick<
  ModelConfig,
  'hiddenSize' | 'numLayers' | 'numHeads' | 'numKeyValueHeads' | 'headDim' | 'maxPositionEmbeddings'
>;

/** How the layers of a model compute. */
export type Traits = Pick<
  ModelConfig,
  | 'ropes'
  | 'slidingWindows'
  | 'attentionBias'
  | 'mlpBias'
  | 'fusedProjections'
  | 'queryKeyNorm'
  | 'normsAfterBlocks'
  | 'normWeightOffset'
  | 'activation'
  | 'scoreScale'
  | 'embeddingScale'
  | 'residualScale'
  | 'logitsScale'
  | 'exceedsFloat16'
>;

/**
 * The traits of Llama without its options: one rotation and full attention in all layers, no biases, no factors.
 * @param known those that need not be read from the usual keys
 */
export function commonTraits(
  config: ConfigReader,
  sizes: Sizes,
  known: Partial<Pick<Traits, 'ropes' | 'activation'>> = {},
): Traits {
  const rope = known.ropes ? null : parseRope(config, sizes);
  return plainTraits(
    sizes,
    known.ropes ?? everyLayer(sizes, rope),
    known.activation ?? parseActivation(config, 'hidden_act', 'silu'),
  );
}

/** The same where rotations and activation are known, wherever they come from. */
export function plainTraits(
  sizes: Sizes,
  ropes: Traits['ropes'],
  activation: Traits['activation'] = 'silu',
): Traits {
  return {
    ropes,
    slidingWindows: everyLayer(sizes, null),
    attentionBias: { qkv: false, output: false },
    mlpBias: false,
    fusedProjections: false,
    queryKeyNorm: false,
    normsAfterBlocks: false,
    normWeightOffset: 0,
    activation,
    scoreScale: 1 / Math.sqrt(sizes.headDim),
    embeddingScale: 1,
    residualScale: 1,
    logitsScale: 1,
    exceedsFloat16: false,
  };
}

/** `attention_bias` and `mlp_bias`, where an architecture lets the config decide. */
export function biasesOf(config: ConfigReader): Pick<Traits, 'attentionBias' | 'mlpBias'> {
  const attention = config.boolean('attention_bias', false);
  return {
    attentionBias: { qkv: attention, output: attention },
    mlpBias: config.boolean('mlp_bias', false),
  };
}

export function everyLayer<T>({ numLayers }: Sizes, value: T): T[] {
  return new Array<T>(numLayers).fill(value);
}

/** The activation functions that are computed, by transformers' names for them. */
const activations: Readonly<Record<string, Traits['activation']>> = {
  silu: 'silu',
  swish: 'silu',
  gelu_pytorch_tanh: 'gelu_tanh',
};

export function parseActivation(config: ConfigReader, key: string, fallback: string): Traits['activation'] {
  const name = config.string(key, fallback);
  const activation = Object.hasOwn(activations, name) ? activations[name] : undefined;
  if (!activation) throw config.error(key, '"silu" or "gelu_pytorch_tanh"');
  return activation;
}

/** Per layer, whether its attention has a window: the list `layer_types`, undefined where the config has none. */
export function slidingLayers(config: ConfigReader, { numLayers }: Sizes): boolean[] | undefined {
  const types = config.stringList('layer_types');
  if (!types) return undefined;
  const known = types.every((type) => type === 'full_attention' || type === 'sliding_attention');
  if (!known || types.length !== numLayers) {
    throw config.error('layer_types', `${numLayers} times "full_attention" or "sliding_attention"`);
  }
  return types.map((type) => type === 'sliding_attention');
}
