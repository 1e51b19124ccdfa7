/**
 * Rotary position embedding out of GGUF metadata, as llama.cpp understands them (llama-model.cpp, llama-context.cpp,
 * get_rope_factors; ggml's rope_yarn).
 */
import type { Sizes } from '../architectures/rules.ts';
import type { RopeConfig } from '../types.ts';
import type { ModelKeys } from './modelKeys.ts';

/** @throws UserError for scalings that are not computed, and for combinations of them */
export async function readRope(keys: ModelKeys, sizes: Sizes, rotatedDim: number): Promise<RopeConfig> {
  const { metadata } = keys.file;
  const theta = keys.positive('rope.freq_base', 10000);
  const plain = { theta, partialRotaryFactor: rotatedDim / sizes.headDim };
  const factor = keys.positiveOrUnset('rope.scaling.factor', keys.positiveOrUnset('rope.scale_linear', 1));
  const type = metadata.string(keys.full('rope.scaling.type'), 'linear');
  const long = await readFactors(keys, sizes, rotatedDim);
  if (long) {
    if (factor !== 1 && type !== 'none' && type !== 'longrope') {
      throw keys.error('rope.scaling.factor', 'none beside factors for each frequency');
    }
    return { type: 'longrope', ...plain, ...long };
  }
  const attentionFactor = keys.positive('rope.scaling.attn_factor', 1);
  if (type === 'yarn') return { type: 'yarn', ...plain, ...readYarn(keys, sizes, factor, attentionFactor) };
  if (attentionFactor !== 1) {
    throw keys.error('rope.scaling.attn_factor', '1 without a scaling of the type "yarn" or "longrope"');
  }
  if (type === 'none' || (type === 'linear' && factor === 1)) return { type: 'default', ...plain };
  if (type !== 'linear') {
    const expected =
      type === 'longrope' ? '"longrope" only beside rope_factors_long.weight' : '"linear" or "yarn"';
    throw keys.error('rope.scaling.type', expected);
  }
  return { type: 'linear', ...plain, factor, originalMaxPositionEmbeddings: sizes.maxPositionEmbeddings };
}

/**
 * Divisors of the frequencies. `rope_freqs.weight` (Llama 3) holds one list for all lengths: the scaling "longrope" with
 * two equal lists. Phi-3 has one for short and one for long sequences.
 */
async function readFactors(
  keys: ModelKeys,
  sizes: Sizes,
  rotatedDim: number,
): Promise<Partial<RopeConfig> | undefined> {
  const count = rotatedDim / 2;
  const same = await keys.factors('rope_freqs.weight', count);
  const attentionFactor = keys.positive('rope.scaling.attn_factor', 1);
  if (same) {
    const { maxPositionEmbeddings: originalMaxPositionEmbeddings } = sizes;
    return { originalMaxPositionEmbeddings, attentionFactor, factor: 1, shortFactor: same, longFactor: same };
  }
  const longFactor = await keys.factors('rope_factors_long.weight', count);
  const shortFactor = await keys.factors('rope_factors_short.weight', count);
  if (!longFactor && !shortFactor) return undefined;
  if (!longFactor || !shortFactor) {
    const missing = longFactor ? 'short' : 'long';
    throw keys.error(
      'rope.scaling.type',
      `rope_factors_${missing}.weight beside the tensor of the other factors`,
    );
  }
  const original = keys.size('rope.scaling.original_context_length', 2 ** 31);
  return {
    originalMaxPositionEmbeddings: original,
    attentionFactor,
    factor: sizes.maxPositionEmbeddings / original,
    shortFactor,
    longFactor,
  };
}

function readYarn(
  keys: ModelKeys,
  { maxPositionEmbeddings }: Sizes,
  factor: number,
  attentionFactor: number,
): Partial<RopeConfig> {
  for (const [key, value] of [
    ['rope.scaling.yarn_ext_factor', 1],
    ['rope.scaling.yarn_attn_factor', 1],
    ['rope.scaling.yarn_log_multiplier', 0],
  ] as const) {
    if (keys.has(key) && keys.file.metadata.number(keys.full(key)) !== value) {
      throw keys.error(key, `${value}: other values are not supported`);
    }
  }
  return {
    factor,
    originalMaxPositionEmbeddings: keys.size(
      'rope.scaling.original_context_length',
      2 ** 31,
      maxPositionEmbeddings,
    ),
    betaFast: keys.positive('rope.scaling.yarn_beta_fast', 32),
    betaSlow: keys.positive('rope.scaling.yarn_beta_slow', 1),
    attentionFactor: attentionFactor * (factor > 1 ? 0.1 * Math.log(factor) + 1 : 1),
    truncate: true,
  };
}
