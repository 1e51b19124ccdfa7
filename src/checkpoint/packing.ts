/**
 * `quantization_config` of config.json: which packed linear layers (GPTQ, AWQ) can be run as they are. What is stored in
 * another way is refused by name.
 */
import { UserError } from '../protocol/errors.ts';
import type { ConfigReader } from './configReader.ts';
import type { Packing } from './types.ts';

const groupSizes = [32, 64, 128] as const;
const whatRuns =
  'GPTQ (4 or 8 bits, groups of 32, 64 or 128, without act-order), AWQ (4 bits, "gemm") and GGUF files';

/**
 * How the linear layers are packed; undefined: they are not.
 * @throws UserError that names what is not supported
 */
export function parsePacking(config: ConfigReader): Packing | undefined {
  if (!config.has('quantization_config')) return undefined;
  const quantization = config.reader('quantization_config');
  const method = quantization.string('quant_method').toLowerCase();
  if (method === 'gptq') return parseGptq(quantization);
  if (method === 'awq') return parseAwq(quantization);
  throw new UserError(
    `${config.where}: the weights are quantised with ${JSON.stringify(method.slice(0, 40))}, which is not supported. ` +
      `Supported: ${whatRuns}. Or take the float16, bfloat16 or float32 version of the model; --precision int8 or ` +
      'int4 quantises it on loading.',
  );
}

function parseGptq(config: ConfigReader): Packing {
  const format = config.string('checkpoint_format', 'gptq');
  if (format !== 'gptq' && format !== 'gptq_v2')
    throw config.error('checkpoint_format', '"gptq" or "gptq_v2": other layouts are not supported');
  for (const key of ['is_marlin_format', 'desc_act']) {
    if (config.boolean(key, false)) throw config.error(key, `false. Supported: ${whatRuns}`);
  }
  if (Object.keys(config.object('dynamic') ?? {}).length > 0)
    throw config.error('dynamic', 'nothing: settings for single layers are not supported');
  const bits = config.positiveInteger('bits');
  if (bits !== 4 && bits !== 8) throw config.error('bits', '4 or 8');
  return { method: 'gptq', bits, groupSize: groupSize(config), zeroPointOffset: format === 'gptq' ? 1 : 0 };
}

function parseAwq(config: ConfigReader): Packing {
  const version = config.string('version', 'gemm').toLowerCase();
  if (version !== 'gemm') throw config.error('version', '"gemm": other layouts are not supported');
  if (config.string('backend', 'autoawq') !== 'autoawq')
    throw config.error('backend', '"autoawq": other layouts are not supported');
  if (config.positiveInteger('bits') !== 4) throw config.error('bits', '4');
  if (!config.boolean('zero_point', true)) throw config.error('zero_point', 'true');
  return { method: 'awq', bits: 4, groupSize: groupSize(config), zeroPointOffset: 0 };
}

function groupSize(config: ConfigReader): Packing['groupSize'] {
  const found = groupSizes.find((size) => size === config.raw('group_size'));
  if (found === undefined) throw config.error('group_size', '32, 64 or 128');
  return found;
}
