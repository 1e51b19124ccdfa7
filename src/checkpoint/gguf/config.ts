/** A decoder's shape from the metadata of a GGUF file. */
import { UserError } from '../../protocol/errors.ts';
import type { Sizes } from '../architectures/rules.ts';
import { quoted } from '../quotedText.ts';
import type { ModelConfig } from '../types.ts';
import { ggufArchitectures } from './architectures.ts';
import type { GgufArchitecture } from './architectures.ts';
import type { GgufFile } from './file.ts';
import { ModelKeys } from './modelKeys.ts';
import { readRope } from './rope.ts';
import { endOfTurnIds } from './tokenizer.ts';

/** Larger numbers than any model has; they keep later products and loops in bounds. */
const maximumSize = 2 ** 24;
const maximumLayers = 1024;

/** Keys that change what is computed in ways that are not supported, unless they have the value that turns them off. */
const otherComputations: readonly (readonly [key: string, off: number | boolean, what: string])[] = [
  ['expert_count', 0, 'mixtures of experts are'],
  ['attention.max_alibi_bias', 0, 'ALiBi is'],
  ['attention.clamp_kqv', 0, 'clamped queries, keys and values are'],
  ['attn_logit_softcapping', 0, 'soft caps are'],
  ['final_logit_softcapping', 0, 'soft caps are'],
  ['attention.temperature_scale', 0, 'scores that depend on the position are'],
  ['attention.causal', true, 'attention to later tokens is'],
];
const scales = ['embedding_scale', 'residual_scale', 'attention.scale', 'logit_scale'];

/** How the file's architecture is computed. @throws UserError if it is missing or not supported */
export function ggufArchitectureOf(file: GgufFile): { name: string } & GgufArchitecture {
  const name = file.metadata.string('general.architecture');
  const known = Object.hasOwn(ggufArchitectures, name) ? ggufArchitectures[name] : undefined;
  if (known) return { name, ...known };
  throw new UserError(
    `${file.path}: the architecture ${quoted(name)} is not supported. ` +
      `Supported: ${Object.keys(ggufArchitectures).join(', ')}.`,
  );
}

/**
 * The shape of the decoder in a GGUF file.
 *
 * @throws UserError that names the key which is missing, impossible or not supported
 */
export async function readGgufConfig(file: GgufFile): Promise<ModelConfig> {
  const { name, ...rules } = ggufArchitectureOf(file);
  const keys = new ModelKeys(file, name);
  refuseOtherComputations(keys, rules);
  const sizes = readSizes(keys);
  if (rules.needsBase && !keys.has('rope.freq_base')) throw keys.error('rope.freq_base', 'a number above 0');
  const rope = await readRope(keys, sizes, rotatedDimOf(keys, sizes, rules));
  const traits = rules.traits(keys, sizes, rope);
  const has = (tensor: string): boolean => file.tensors.has(tensor);
  const vocabSize = keys.size('vocab_size', maximumSize, file.tensors.get('token_embd.weight')?.shape[0]);
  return {
    architecture: rules.architecture,
    ...sizes,
    vocabSize,
    intermediateSize: keys.size('feed_forward_length', maximumSize),
    rmsNormEps: keys.positive('attention.layer_norm_rms_epsilon'),
    ...traits,
    attentionBias: {
      qkv: has(`blk.0.attn_${traits.fusedProjections ? 'qkv' : 'q'}.bias`),
      output: has('blk.0.attn_output.bias'),
    },
    mlpBias: has('blk.0.ffn_down.bias'),
    tieWordEmbeddings: !has('output.weight'),
    textPartOnly: [...file.tensors.keys()].some((tensor) =>
      rules.otherParts?.some((part) => tensor.startsWith(part)),
    ),
    ...readTokenIds(file, vocabSize),
  };
}

function refuseOtherComputations(keys: ModelKeys, rules: GgufArchitecture): void {
  const { metadata } = keys.file;
  for (const [key, off, what] of otherComputations) {
    const full = keys.full(key);
    const value = typeof off === 'boolean' ? metadata.boolean(full, off) : metadata.number(full, off);
    if (value !== off) throw keys.error(key, `${off}: ${what} not supported`);
  }
  for (const key of rules.scales ? [] : scales) {
    const value = metadata.number(keys.full(key), 1);
    if (value !== 0 && value !== 1) throw keys.error(key, `none in a model of the kind ${keys.architecture}`);
  }
  const window = metadata.integer(keys.full('attention.sliding_window'), 0);
  if (!rules.windows && window !== 0) {
    throw keys.error('attention.sliding_window', `0 in a model of the kind ${keys.architecture}`);
  }
}

function readSizes(keys: ModelKeys): Sizes {
  const hiddenSize = keys.size('embedding_length', maximumSize);
  const numHeads = keys.size('attention.head_count', maximumSize);
  const numKeyValueHeads = keys.size('attention.head_count_kv', maximumSize, numHeads);
  if (numHeads % numKeyValueHeads !== 0) {
    throw keys.error('attention.head_count_kv', `a divisor of attention.head_count (${numHeads})`);
  }
  const headDim = keys.size('attention.key_length', maximumSize, hiddenSize / numHeads);
  if (headDim % 2 !== 0) {
    const key = keys.has('attention.key_length') ? 'attention.key_length' : 'attention.head_count';
    throw keys.error(key, `an even size of each head (embedding_length is ${hiddenSize})`);
  }
  if (keys.size('attention.value_length', maximumSize, headDim) !== headDim) {
    throw keys.error('attention.value_length', `${headDim}, the length of a key`);
  }
  return {
    hiddenSize,
    numHeads,
    numKeyValueHeads,
    headDim,
    numLayers: keys.size('block_count', maximumLayers),
    maxPositionEmbeddings: keys.size('context_length', 2 ** 31),
  };
}

function rotatedDimOf(keys: ModelKeys, { headDim }: Sizes, rules: GgufArchitecture): number {
  const rotated = keys.size('rope.dimension_count', maximumSize, headDim);
  if (rotated === headDim || (rules.partialRotation && rotated < headDim && rotated % 2 === 0))
    return rotated;
  const expected = rules.partialRotation ? `an even number up to ${headDim}` : String(headDim);
  throw keys.error('rope.dimension_count', `${expected}, the length of a key`);
}

/** Ids of the tokens with a part in generating; -1, however it is written, is none. */
function readTokenIds(
  { metadata }: GgufFile,
  vocabSize: number,
): Pick<ModelConfig, 'bosTokenId' | 'eosTokenIds' | 'padTokenId'> {
  const id = (role: string): number | null => {
    const key = `tokenizer.ggml.${role}_token_id`;
    const value = metadata.integer(key, -1);
    if (value === -1 || value === 2 ** 32 - 1) return null;
    if (value < 0 || value >= vocabSize) {
      throw metadata.error(key, `the id of one of the vocabulary's ${vocabSize} tokens`);
    }
    return value;
  };
  const tokens = metadata.lengthOf('tokenizer.ggml.tokens') ?? 0;
  if (tokens > vocabSize) {
    const expected = `at most ${vocabSize}, the rows of token_embd.weight`;
    throw metadata.error('tokenizer.ggml.tokens', expected);
  }
  const named = [id('eos'), id('eot'), id('eom')].filter((end) => end !== null);
  const known = metadata.isLeftOut('tokenizer.ggml.tokens') ? [] : endOfTurnIds(metadata);
  const eosTokenIds = [...new Set([...named, ...known])].filter((end) => end < vocabSize);
  return { bosTokenId: id('bos'), eosTokenIds, padTokenId: id('padding') };
}
