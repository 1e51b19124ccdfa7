import { UserError } from '../protocol/errors.ts';
import { ConfigReader } from './configReader.ts';
import type { JsonObject } from './files.ts';
import { parseRope } from './ropeConfig.ts';
import { architectures } from './types.ts';
import type { Architecture, ModelConfig } from './types.ts';

/** What transformers assumes where a config.json is silent. Sizes have no defaults here: they must be there. */
const defaults: Record<
  Architecture,
  { rmsNormEps: number; maxPositionEmbeddings: number; keyValueHeads?: number }
> = {
  LlamaForCausalLM: { rmsNormEps: 1e-6, maxPositionEmbeddings: 2048 },
  MistralForCausalLM: { rmsNormEps: 1e-6, maxPositionEmbeddings: 131072, keyValueHeads: 8 },
  Qwen2ForCausalLM: { rmsNormEps: 1e-6, maxPositionEmbeddings: 32768 },
  Phi3ForCausalLM: { rmsNormEps: 1e-5, maxPositionEmbeddings: 4096 },
  Qwen3ForCausalLM: { rmsNormEps: 1e-6, maxPositionEmbeddings: 32768 },
};

/** Larger numbers than any model has; they keep later products and loops in bounds. */
const maximumSize = 2 ** 24;
const maximumLayers = 1024;

/**
 * The shape of a decoder from its config.json, as transformers 4 or 5 writes it, and generation_config.json.
 *
 * @param where the config's path, for messages
 * @throws UserError that names what is missing, impossible or not supported
 */
export function parseModelConfig(
  configJson: JsonObject,
  generationJson: JsonObject | undefined,
  where: string,
): ModelConfig {
  const config = new ConfigReader(configJson, where);
  const generation = new ConfigReader(generationJson ?? {}, `generation_config.json beside ${where}`);
  const architecture = parseArchitecture(config, where);
  if (config.has('quantization_config')) {
    const { quant_method: method } = config.object('quantization_config') ?? {};
    throw new UserError(
      `${where}: the weights are quantised (${typeof method === 'string' ? method : 'quantization_config'}), ` +
        'which is not supported. Take the float16, bfloat16 or float32 version of the model; ' +
        '--precision int8 or int4 quantises it on loading.',
    );
  }
  const activation = config.string('hidden_act', 'silu');
  if (activation !== 'silu' && activation !== 'swish') throw config.error('hidden_act', '"silu"');

  const qwen = architecture === 'Qwen2ForCausalLM' || architecture === 'Qwen3ForCausalLM';
  const hiddenSize = boundedSize(config, 'hidden_size');
  const numHeads = boundedSize(config, 'num_attention_heads');
  const numLayers = config.positiveInteger('num_hidden_layers');
  if (numLayers > maximumLayers) throw config.error('num_hidden_layers', `at most ${maximumLayers}`);
  const numKeyValueHeads = keyValueHeads(config, architecture, numHeads);
  const headDim = parseHeadDim(config, architecture, hiddenSize, numHeads);
  const maxPositionEmbeddings = config.positiveInteger(
    'max_position_embeddings',
    defaults[architecture].maxPositionEmbeddings,
  );
  // Llama and Qwen3 let the config decide; Qwen2 always has them on q, k and v; Mistral and Phi-3 never.
  const biasByConfig =
    (architecture === 'LlamaForCausalLM' || architecture === 'Qwen3ForCausalLM') &&
    config.boolean('attention_bias', false);
  const generationEos = generation.tokenIds('eos_token_id');
  return {
    architecture,
    vocabSize: boundedSize(config, 'vocab_size'),
    hiddenSize,
    intermediateSize: boundedSize(config, 'intermediate_size'),
    numLayers,
    numHeads,
    numKeyValueHeads,
    headDim,
    rmsNormEps: config.positiveNumber('rms_norm_eps', defaults[architecture].rmsNormEps),
    maxPositionEmbeddings,
    rope: parseRope(config, architecture, headDim, maxPositionEmbeddings, where),
    slidingWindows: slidingWindows(config, architecture, numLayers, qwen),
    tieWordEmbeddings: config.boolean('tie_word_embeddings', false),
    attentionBias: { qkv: biasByConfig || architecture === 'Qwen2ForCausalLM', output: biasByConfig },
    mlpBias: architecture === 'LlamaForCausalLM' && config.boolean('mlp_bias', false),
    fusedProjections: architecture === 'Phi3ForCausalLM',
    queryKeyNorm: architecture === 'Qwen3ForCausalLM',
    bosTokenId: firstId(generation, config, 'bos_token_id'),
    eosTokenIds: generationEos.length > 0 ? generationEos : config.tokenIds('eos_token_id'),
    padTokenId: firstId(generation, config, 'pad_token_id'),
  };
}

function parseArchitecture(config: ConfigReader, where: string): Architecture {
  const named = config.stringList('architectures') ?? [];
  const found = architectures.find((architecture) => named.includes(architecture));
  if (found) return found;
  const what =
    named.length > 0 ? `the architecture ${named.join(', ')} is not supported` : 'no architecture is named';
  throw new UserError(`${where}: ${what}. Supported: ${architectures.join(', ')}.`);
}

function boundedSize(config: ConfigReader, key: string): number {
  const size = config.positiveInteger(key);
  if (size > maximumSize) throw config.error(key, `at most ${maximumSize}`);
  return size;
}

function keyValueHeads(config: ConfigReader, architecture: Architecture, numHeads: number): number {
  const count = config.positiveInteger(
    'num_key_value_heads',
    defaults[architecture].keyValueHeads ?? numHeads,
  );
  if (count > numHeads || numHeads % count !== 0) {
    throw config.error('num_key_value_heads', `a divisor of num_attention_heads (${numHeads})`);
  }
  return count;
}

function parseHeadDim(
  config: ConfigReader,
  architecture: Architecture,
  hiddenSize: number,
  numHeads: number,
): number {
  let headDim = config.optionalPositiveInteger('head_dim');
  if (headDim === undefined) {
    // Qwen3's default does not depend on the other sizes.
    headDim = architecture === 'Qwen3ForCausalLM' ? 128 : hiddenSize / numHeads;
    if (!Number.isInteger(headDim)) {
      throw config.error('num_attention_heads', `a divisor of hidden_size (${hiddenSize}), or a head_dim`);
    }
  }
  if (headDim % 2 !== 0 || headDim > maximumSize) throw config.error('head_dim', 'an even size');
  return headDim;
}

/**
 * Mistral and Phi-3 use `sliding_window` in every layer. Qwen2 and Qwen3 use it only if `use_sliding_window`, in
 * the layers that `layer_types` names, or without that list in those from `max_window_layers` on. Llama has none.
 */
function slidingWindows(
  config: ConfigReader,
  architecture: Architecture,
  numLayers: number,
  qwen: boolean,
): (number | null)[] {
  const none = new Array<number | null>(numLayers).fill(null);
  if (architecture === 'LlamaForCausalLM') return none;
  if (!qwen) {
    // A Mistral config without the key has the window of the first Mistral; null says that there is none.
    const absent = architecture === 'MistralForCausalLM' && config.isAbsent('sliding_window');
    return none.fill(absent ? 4096 : (config.optionalPositiveInteger('sliding_window') ?? null));
  }
  if (!config.boolean('use_sliding_window', false)) return none;
  const window = config.isAbsent('sliding_window') ? 4096 : config.optionalPositiveInteger('sliding_window');
  if (window === undefined) return none;
  const layerTypes = config.stringList('layer_types');
  if (!layerTypes) {
    const first = config.nonNegativeInteger('max_window_layers', 28);
    return none.map((_, layer) => (layer >= first ? window : null));
  }
  const known = layerTypes.every((type) => type === 'full_attention' || type === 'sliding_attention');
  if (!known || layerTypes.length !== numLayers) {
    throw config.error('layer_types', `${numLayers} times "full_attention" or "sliding_attention"`);
  }
  return layerTypes.map((type) => (type === 'sliding_attention' ? window : null));
}

function firstId(generation: ConfigReader, config: ConfigReader, key: string): number | null {
  return config.tokenIds(key)[0] ?? generation.tokenIds(key)[0] ?? null;
}
