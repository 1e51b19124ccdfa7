import { UserError } from '../protocol/errors.ts';
import { architectureRules } from './architectures/table.ts';
import { ConfigReader } from './configReader.ts';
import type { JsonObject } from './files.ts';
import { parsePacking } from './packing.ts';
import { architectures } from './types.ts';
import type { Architecture, ModelConfig } from './types.ts';

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
  const whole = new ConfigReader(configJson, where);
  const generation = new ConfigReader(generationJson ?? {}, `generation_config.json beside ${where}`);
  const architecture = parseArchitecture(whole, where);
  const { defaults, traits, textPart } = architectureRules[architecture];
  const config = textPart ? whole.reader('text_config') : whole;
  if (textPart && !whole.has('text_config')) throw whole.error('text_config', 'an object');
  for (const part of new Set([whole, config])) refuseOtherComputations(part);

  const hiddenSize = boundedSize(config, 'hidden_size');
  const numHeads = boundedSize(config, 'num_attention_heads', defaults.numHeads);
  const numLayers = config.positiveInteger('num_hidden_layers');
  if (numLayers > maximumLayers) throw config.error('num_hidden_layers', `at most ${maximumLayers}`);
  const sizes = {
    hiddenSize,
    numLayers,
    numHeads,
    numKeyValueHeads: keyValueHeads(config, defaults.numKeyValueHeads ?? numHeads, numHeads),
    headDim: parseHeadDim(config, defaults.headDim, hiddenSize, numHeads),
    maxPositionEmbeddings: config.positiveInteger('max_position_embeddings', defaults.maxPositionEmbeddings),
  };
  const packing = parsePacking(whole) ?? parsePacking(config);
  const generationEos = generation.tokenIds('eos_token_id');
  const wholeEos = whole.tokenIds('eos_token_id');
  return {
    architecture,
    ...sizes,
    vocabSize: boundedSize(config, 'vocab_size', defaults.vocabSize),
    intermediateSize: boundedSize(config, 'intermediate_size'),
    rmsNormEps: config.positiveNumber('rms_norm_eps', defaults.rmsNormEps),
    ...traits(config, sizes),
    tieWordEmbeddings: isTied(whole, config, defaults.tieWordEmbeddings ?? false),
    textPartOnly: textPart ?? false,
    bosTokenId: firstId([config, whole, generation], 'bos_token_id'),
    eosTokenIds:
      [generationEos, wholeEos, config.tokenIds('eos_token_id')].find(({ length }) => length > 0) ?? [],
    padTokenId: firstId([config, whole, generation], 'pad_token_id'),
    ...(packing ? { packing } : {}),
  };
}

/** Settings that change what a model computes, in ways that are not computed here. */
function refuseOtherComputations(config: ConfigReader): void {
  for (const key of ['attn_logit_softcapping', 'final_logit_softcapping']) {
    if (config.has(key)) throw config.error(key, 'null: soft caps are not supported');
  }
  for (const key of ['alibi', 'use_bidirectional_attention']) {
    const value = config.raw(key) ?? false;
    if (value !== false) throw config.error(key, 'false: it is not supported');
  }
}

/** Of a model with several parts, the whole or the part may say it, but not two different things. */
function isTied(whole: ConfigReader, config: ConfigReader, fallback: boolean): boolean {
  const tied = whole.boolean('tie_word_embeddings', config.boolean('tie_word_embeddings', fallback));
  if (config.boolean('tie_word_embeddings', tied) !== tied) {
    throw config.error('tie_word_embeddings', `${tied}, as in the file's first level`);
  }
  return tied;
}

function parseArchitecture(config: ConfigReader, where: string): Architecture {
  const named = config.stringList('architectures') ?? [];
  const found = architectures.find((architecture) => named.includes(architecture));
  if (found) return found;
  const what =
    named.length > 0 ? `the architecture ${named.join(', ')} is not supported` : 'no architecture is named';
  throw new UserError(`${where}: ${what}. Supported: ${architectures.join(', ')}.`);
}

function boundedSize(config: ConfigReader, key: string, fallback?: number): number {
  const size = config.positiveInteger(key, fallback);
  if (size > maximumSize) throw config.error(key, `at most ${maximumSize}`);
  return size;
}

function keyValueHeads(config: ConfigReader, fallback: number, numHeads: number): number {
  const count = config.positiveInteger('num_key_value_heads', fallback);
  if (count > numHeads || numHeads % count !== 0) {
    throw config.error('num_key_value_heads', `a divisor of num_attention_heads (${numHeads})`);
  }
  return count;
}

function parseHeadDim(
  config: ConfigReader,
  fallback: number | undefined,
  hiddenSize: number,
  numHeads: number,
): number {
  let headDim = config.optionalPositiveInteger('head_dim');
  if (headDim === undefined) {
    headDim = fallback ?? hiddenSize / numHeads;
    if (!Number.isInteger(headDim)) {
      throw config.error('num_attention_heads', `a divisor of hidden_size (${hiddenSize}), or a head_dim`);
    }
  }
  if (headDim % 2 !== 0 || headDim > maximumSize) throw config.error('head_dim', 'an even size');
  return headDim;
}

/** The first id that one of the readers has. */
function firstId(readers: readonly ConfigReader[], key: string): number | null {
  return readers.flatMap((reader) => reader.tokenIds(key))[0] ?? null;
}
