import { UserError } from '../protocol/errors.ts';
import { ConfigReader } from './configReader.ts';
import type { JsonObject } from './files.ts';

/** Longest pattern of rank_pattern and alpha_pattern that is tried as a regular expression. */
const maximumPattern = 200;

/** Scaling and rank of a PEFT LoRA adapter, by module. */
export interface LoraConfig {
  /** @param module full name, such as `model.layers.0.mlp.down_proj` */
  rankOf: (module: string) => number;
  /** loraAlpha / rank, or loraAlpha / sqrt(rank) for rank-stabilised LoRA */
  scalingOf: (module: string) => number;
}

/**
 * The parts of PEFT's adapter_config.json that say how an adapter is applied.
 *
 * @param where the file's path for messages
 * @throws UserError for other kinds of adapters and for options that change the mathematics
 */
export function parseLoraConfig(json: JsonObject, where: string): LoraConfig {
  const config = new ConfigReader(json, where);
  const type = config.raw('peft_type');
  if (type !== 'LORA') throw config.error('peft_type', '"LORA"');
  refuseVariants(config);
  const rank = config.positiveInteger('r');
  const alpha = config.positiveNumber('lora_alpha');
  const ranks = patterns(config, 'rank_pattern');
  const alphas = patterns(config, 'alpha_pattern');
  const rankStabilised = config.boolean('use_rslora', false);
  const rankOf = (module: string): number => matching(ranks, module) ?? rank;
  return {
    rankOf,
    scalingOf: (module) => {
      const divisor = rankStabilised ? Math.sqrt(rankOf(module)) : rankOf(module);
      return (matching(alphas, module) ?? alpha) / divisor;
    },
  };
}

/** Options under which y = W x + scaling * B (A x) is not what the adapter means. */
function refuseVariants(config: ConfigReader): void {
  for (const key of ['use_dora', 'fan_in_fan_out', 'lora_bias', 'use_qalora']) {
    if (config.boolean(key, false))
      throw config.error(key, 'false: other variants of LoRA are not supported');
  }
  const bias = config.raw('bias') ?? 'none';
  if (bias !== 'none') throw config.error('bias', '"none": adapters that change biases are not supported');
  for (const key of [
    'modules_to_save',
    'layer_replication',
    'trainable_token_indices',
    'target_parameters',
    // adapters that act otherwise, or on some tokens only
    'alora_invocation_tokens',
    'arrow_config',
    'kasa_config',
    'monteclora_config',
    'use_bdlora',
  ]) {
    const value = config.raw(key);
    if (value !== undefined && !(Array.isArray(value) && value.length === 0)) {
      throw config.error(key, 'null: only low-rank factors can be applied');
    }
  }
  const initialisation = config.raw('init_lora_weights');
  if (typeof initialisation === 'string' && /^(pissa|olora|corda|loftq|lora_ga)/i.test(initialisation)) {
    throw config.error(
      'init_lora_weights',
      'true: this adapter belongs to base weights that its training changed; save it as a plain LoRA ' +
        '(save_pretrained(..., path_initial_model_for_weight_conversion=...))',
    );
  }
}

function patterns(config: ConfigReader, key: string): (readonly [RegExp, number])[] {
  return Object.entries(config.object(key) ?? {}).map(([pattern, value]) => {
    if (
      typeof value !== 'number' ||
      !Number.isFinite(value) ||
      value <= 0 ||
      pattern.length > maximumPattern
    ) {
      throw config.error(key, 'an object of positive numbers by module name');
    }
    if (mayTakeForever(pattern)) {
      throw new UserError(
        `${config.where}: the pattern ${JSON.stringify(pattern)} of "${key}" is too complicated; write module names ` +
          'out instead.',
      );
    }
    // As PEFT matches: the end of the module's name, or a regular expression for it.
    try {
      return [new RegExp(`^(.*\\.)?(${pattern})$`), value];
    } catch {
      throw new UserError(
        `${config.where}: the pattern ${JSON.stringify(pattern)} of "${key}" cannot be used.`,
      );
    }
  });
}

/**
 * Whether a regular expression could keep the matcher busy for hours, even on a name of thirty characters: that takes
 * repeated groups, or many repetitions or alternatives one behind the other.
 */
function mayTakeForever(pattern: string): boolean {
  const groups = pattern.split('(').length - 1;
  const repetitions = pattern.match(/[*+?{]/g)?.length ?? 0;
  return groups > 4 || repetitions > 4 || /\)[*+{]/.test(pattern);
}

function matching(list: readonly (readonly [RegExp, number])[], module: string): number | undefined {
  return list.find(([pattern]) => pattern.test(module))?.[1];
}
