import { UserError } from '../protocol/errors.ts';
import { ConfigReader } from './configReader.ts';
import { isJsonObject } from './files.ts';
import type { JsonObject } from './files.ts';
import type { ModelConfig, RopeConfig } from './types.ts';

const ropeTypes = ['default', 'linear', 'dynamic', 'llama3', 'yarn', 'longrope'] as const;

/**
 * The rotary position embedding of a config.json. transformers 4 writes `rope_theta` and `rope_scaling` (null, or
 * an object whose kind is `rope_type`, in old files `type`); transformers 5 writes `rope_parameters` with theta
 * inside. Defaults are those of transformers' modeling_rope_utils.
 *
 * @param sizes headDim to check the lengths of longrope's factors
 * @param options.parameters instead of those two objects
 * @param options.theta where the parameters have none
 * @param options.yarnIsLongrope the name "yarn" means longrope
 */
export function parseRope(
  config: ConfigReader,
  sizes: Pick<ModelConfig, 'headDim' | 'maxPositionEmbeddings'>,
  options: { parameters?: JsonObject; theta?: number; yarnIsLongrope?: boolean } = {},
): RopeConfig {
  const { where } = config;
  const { headDim, maxPositionEmbeddings } = sizes;
  const scaling =
    options.parameters ??
    oneForAllLayers(config.object('rope_scaling') ?? config.object('rope_parameters'), where);
  const rope = new ConfigReader(scaling, `${where}, rope parameters`);
  const type = ropeType(rope, options.yarnIsLongrope ?? false);
  const result: RopeConfig = {
    type,
    theta:
      rope.optionalPositiveNumber('rope_theta') ??
      options.theta ??
      config.positiveNumber('rope_theta', 10000),
    partialRotaryFactor:
      rope.optionalPositiveNumber('partial_rotary_factor') ??
      config.positiveNumber('partial_rotary_factor', 1),
  };
  const rotated = Math.trunc(headDim * result.partialRotaryFactor);
  if (result.partialRotaryFactor > 1 || rotated < 2 || rotated % 2 !== 0) {
    throw new UserError(
      `${where}: partial_rotary_factor ${result.partialRotaryFactor} of a head of ${headDim} does not give an ` +
        'even number of rotated dimensions.',
    );
  }
  if (type === 'default') return result;

  // Phi-3 has the length before the extension beside rope_scaling, the others inside it.
  const original =
    rope.optionalPositiveNumber('original_max_position_embeddings') ??
    config.optionalPositiveNumber('original_max_position_embeddings');
  result.originalMaxPositionEmbeddings = original ?? maxPositionEmbeddings;
  result.attentionFactor = rope.optionalPositiveNumber('attention_factor');
  const ratio = maxPositionEmbeddings / result.originalMaxPositionEmbeddings;

  if (type === 'longrope') {
    // The ratio of the lengths is what transformers uses when both are known, whatever "factor" says.
    result.factor = original === undefined ? rope.positiveNumber('factor', 1) : ratio;
    result.shortFactor = factors(rope, 'short_factor', rotated / 2);
    result.longFactor = factors(rope, 'long_factor', rotated / 2);
    return withoutUndefined(result);
  }
  result.factor =
    type === 'yarn' && original !== undefined && !rope.has('factor') ? ratio : rope.positiveNumber('factor');
  if (type === 'dynamic') result.originalMaxPositionEmbeddings = maxPositionEmbeddings;
  if (type === 'llama3') {
    if (original === undefined) throw rope.error('original_max_position_embeddings', 'a positive number');
    result.lowFreqFactor = rope.positiveNumber('low_freq_factor');
    result.highFreqFactor = rope.positiveNumber('high_freq_factor');
    if (result.highFreqFactor <= result.lowFreqFactor) {
      throw rope.error('high_freq_factor', `more than low_freq_factor (${result.lowFreqFactor})`);
    }
  }
  if (type === 'yarn') {
    result.betaFast = rope.positiveNumber('beta_fast', 32);
    result.betaSlow = rope.positiveNumber('beta_slow', 1);
    result.mscale = nonZero(rope, 'mscale');
    result.mscaleAllDim = nonZero(rope, 'mscale_all_dim');
    result.truncate = rope.boolean('truncate', true);
  }
  return withoutUndefined(result);
}

function ropeType(rope: ConfigReader, yarnIsLongrope: boolean): RopeConfig['type'] {
  const key = rope.has('rope_type') ? 'rope_type' : 'type';
  const word = rope.string(key, 'default');
  // Phi-3's first files said "su"
  if (word === 'su' || (yarnIsLongrope && word === 'yarn')) return 'longrope';
  const type = ropeTypes.find((known) => known === word);
  if (!type) throw rope.error(key, `one of ${ropeTypes.join(', ')}`);
  return type;
}

/** transformers 5 may write parameters per layer type; here they must be the same for all. */
function oneForAllLayers(parameters: JsonObject | undefined, where: string): JsonObject {
  if (!parameters) return {};
  const values = Object.values(parameters);
  const perLayerType = values.length > 0 && values.every((value) => isJsonObject(value));
  if (!perLayerType) return parameters;
  const [first, ...others] = values as [JsonObject, ...JsonObject[]];
  if (others.some((other) => JSON.stringify(other) !== JSON.stringify(first))) {
    throw new UserError(`${where}: different rope_parameters per layer type are not supported.`);
  }
  return first;
}

function factors(rope: ConfigReader, key: string, count: number): number[] {
  const list = rope.positiveNumberList(key);
  if (list.length !== count) throw rope.error(key, `${count} numbers, half the rotated dimensions of a head`);
  return list;
}

/** 0 means "not set" to transformers. */
function nonZero(rope: ConfigReader, key: string): number | undefined {
  return rope.raw(key) === 0 ? undefined : rope.optionalPositiveNumber(key);
}

/** Absent instead of undefined, so that configurations compare equal. */
function withoutUndefined(rope: RopeConfig): RopeConfig {
  return Object.fromEntries(
    Object.entries(rope).filter(([, value]) => value !== undefined),
  ) as unknown as RopeConfig;
}
