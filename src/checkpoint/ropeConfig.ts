import { UserError } from '../protocol/errors.ts';
import { ConfigReader } from './configReader.ts';
import { isJsonObject } from './files.ts';
import type { JsonObject } from './files.ts';
import type { ModelConfig, RopeConfig } from './types.ts';

const ropeTypes = ['default', 'linear', 'dynamic', 'llama3', 'yarn', 'longrope'] as const;
type RopeType = (typeof ropeTypes)[number];

/** What an architecture has of its own. */
export interface RopeOptions {
  /** Instead of `rope_scaling` and `rope_parameters`. */
  parameters?: JsonObject;
  /** Where the parameters have none. */
  theta?: number;
  /** The types that there are, by their names in a config.json. */
  types?: Readonly<Record<string, RopeType>>;
  /** A part of each head may be rotated: `partial_rotary_factor` says how much. */
  partial?: boolean;
  /** Positions before an extension, where config.json says nothing beside the parameters. */
  originalMaxPositionEmbeddings?: number;
}

/**
 * The rotary position embedding of a config.json. transformers 4 writes `rope_theta` and `rope_scaling` (null, or
 * an object whose kind is `rope_type`, in old files `type`); transformers 5 writes `rope_parameters` with theta
 * inside. What wins over what, and defaults, are those of transformers 5 (modeling_rope_utils).
 *
 * @param sizes headDim to check the lengths of longrope's factors
 */
export function parseRope(
  config: ConfigReader,
  sizes: Pick<ModelConfig, 'headDim' | 'maxPositionEmbeddings'>,
  options: RopeOptions = {},
): RopeConfig {
  const { where } = config;
  const { headDim, maxPositionEmbeddings } = sizes;
  const rope = new ConfigReader(options.parameters ?? ropeParameters(config), `${where}, rope parameters`);
  const type = ropeType(rope, options.types);
  const result: RopeConfig = {
    type,
    theta:
      rope.optionalPositiveNumber('rope_theta') ??
      options.theta ??
      config.positiveNumber('rope_theta', 10000),
    partialRotaryFactor: partialRotaryFactor(config, rope, type, headDim, options.partial ?? false),
  };
  const rotated = Math.trunc(headDim * result.partialRotaryFactor);
  if (type === 'default') return result;

  // Phi-3 has the length before the extension beside the parameters, the others inside.
  const original =
    config.optionalPositiveNumber('original_max_position_embeddings') ??
    options.originalMaxPositionEmbeddings ??
    rope.optionalPositiveNumber('original_max_position_embeddings');
  result.originalMaxPositionEmbeddings = original ?? maxPositionEmbeddings;
  result.attentionFactor = rope.optionalPositiveNumber('attention_factor');
  const ratio = maxPositionEmbeddings / result.originalMaxPositionEmbeddings;

  if (type === 'longrope') {
    // transformers 5 takes a factor that is there; transformers 4 took the ratio even then
    result.factor = rope.positiveNumber('factor', ratio);
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

function ropeType(rope: ConfigReader, types?: Readonly<Record<string, RopeType>>): RopeType {
  const key = rope.has('rope_type') ? 'rope_type' : 'type';
  const word = rope.string(key, 'default');
  const names = types ?? Object.fromEntries(ropeTypes.map((type) => [type, type]));
  const type = Object.hasOwn(names, word) ? names[word] : undefined;
  if (!type) throw rope.error(key, `one of ${Object.keys(names).join(', ')}`);
  return type;
}

/** The share of each head that is rotated, with an even number of values. */
function partialRotaryFactor(
  config: ConfigReader,
  rope: ConfigReader,
  type: RopeType,
  headDim: number,
  isKnown: boolean,
): number {
  const share =
    rope.optionalPositiveNumber('partial_rotary_factor') ?? config.positiveNumber('partial_rotary_factor', 1);
  // transformers rotates whole heads in these architectures, and fails where a scaled rotation would be partial
  if (!isKnown && type === 'default') return 1;
  if (!isKnown && share !== 1) {
    throw rope.error('partial_rotary_factor', `1: this architecture rotates whole heads`);
  }
  const rotated = Math.trunc(headDim * share);
  if (share <= 1 && rotated >= 2 && rotated % 2 === 0) return share;
  throw new UserError(
    `${config.where}: partial_rotary_factor ${share} of a head of ${headDim} does not give an even number of ` +
      'rotated dimensions.',
  );
}

/** An empty `rope_scaling` counts as none. Parameters per layer type are for architectures that read them themselves. */
function ropeParameters(config: ConfigReader): JsonObject {
  const scaling = config.object('rope_scaling') ?? {};
  const parameters = Object.keys(scaling).length > 0 ? scaling : (config.object('rope_parameters') ?? {});
  if (Object.values(parameters).some((value) => isJsonObject(value))) {
    throw new UserError(
      `${config.where}: rope parameters per layer type are not supported for this architecture.`,
    );
  }
  return parameters;
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

/**
 * How many positions a model takes: `max_position_embeddings`, or more where that is the length before an extension by
 * the rotation. Where layers rotate in different ways, all must reach.
 */
export function contextLength({
  maxPositionEmbeddings,
  ropes,
}: Pick<ModelConfig, 'maxPositionEmbeddings' | 'ropes'>): number {
  const lengths = [...new Set(ropes)].map((rope) => (rope ? extendedLength(rope) : Infinity));
  const reach = Math.min(...lengths);
  return reach === Infinity ? maxPositionEmbeddings : Math.max(maxPositionEmbeddings, reach);
}

/** Positions that a rotation with a factor reaches; 0 where there is nothing to say. */
function extendedLength({
  type,
  factor = 1,
  originalMaxPositionEmbeddings: original = 0,
}: RopeConfig): number {
  return type === 'linear' || type === 'dynamic' || type === 'yarn' ? Math.floor(original * factor) : 0;
}

/** Absent instead of undefined, so that configurations compare equal. */
function withoutUndefined(rope: RopeConfig): RopeConfig {
  return Object.fromEntries(
    Object.entries(rope).filter(([, value]) => value !== undefined),
  ) as unknown as RopeConfig;
}
