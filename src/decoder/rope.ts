/**
 * Rotary position embedding as tables of cosines and sines: every scaling is only another table, so the graph stays
 * the same. Formulas: transformers, `modeling_rope_utils.py`, and the papers it names (NTK-aware, YaRN
 * arXiv 2309.00071, LongRoPE arXiv 2402.13753, Llama 3.1).
 */
import type { ModelConfig, RopeConfig } from '../checkpoint/types.ts';

export interface RopeTables {
  /** (positions, rotaryDim / 2) each, row-major */
  cos: Float32Array;
  sin: Float32Array;
  positions: number;
  halfDim: number;
}

/** The rotations of a model's layers, each once, in the order of the first layers that use them. */
export function distinctRopes({ ropes }: ModelConfig): RopeConfig[] {
  return [...new Set(ropes)].filter((rope) => rope !== null);
}

/** The graph's inputs with the cosines and sines of a rotation, by its place in `distinctRopes`. */
export function tableNames(index: number): { cos: string; sin: string } {
  const suffix = index === 0 ? '' : `.${index}`;
  return { cos: `cos_cache${suffix}`, sin: `sin_cache${suffix}` };
}

/** How many dimensions of each head are rotated. */
export function rotaryDim({ headDim }: ModelConfig, rope: RopeConfig): number {
  return 2 * Math.floor((headDim * rope.partialRotaryFactor) / 2);
}

/**
 * Which tables a sequence of this length uses: equal keys mean equal tables. Only `dynamic` and `longrope` depend on
 * the length; for the others the key is constant.
 */
export function ropeRegime(config: ModelConfig, sequenceLength: number): string {
  return distinctRopes(config)
    .map((rope) => regimeOf(config, rope, sequenceLength))
    .join();
}

function regimeOf(config: ModelConfig, rope: RopeConfig, sequenceLength: number): string {
  const original = rope.originalMaxPositionEmbeddings ?? config.maxPositionEmbeddings;
  if (rope.type === 'longrope') return sequenceLength > original ? 'long' : 'short';
  if (rope.type === 'dynamic') return sequenceLength > original ? String(sequenceLength) : 'short';
  return 'only';
}

/**
 * Whether a sequence that grows to this length must turn all its keys anew: longrope's long factors hold for every
 * position once a sequence is longer than the original length. Under `dynamic` keys stay as they were turned.
 */
export function outgrowsKeys(config: ModelConfig, from: number, to: number): boolean {
  return distinctRopes(config).some(
    (rope) => rope.type === 'longrope' && regimeOf(config, rope, from) !== regimeOf(config, rope, to),
  );
}

/** Tables for positions 0..positions-1 of a sequence that is `sequenceLength` long in all. */
export function ropeTables(
  config: ModelConfig,
  rope: RopeConfig,
  positions: number,
  sequenceLength: number,
): RopeTables {
  const { inverseFrequencies, attentionFactor } = ropeFrequencies(config, rope, sequenceLength);
  const halfDim = inverseFrequencies.length;
  const cos = new Float32Array(positions * halfDim);
  const sin = new Float32Array(positions * halfDim);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < halfDim; i++) {
      // transformers multiplies in float32
      const angle = Math.fround(position * inverseFrequencies[i]!);
      cos[position * halfDim + i] = Math.cos(angle) * attentionFactor;
      sin[position * halfDim + i] = Math.sin(angle) * attentionFactor;
    }
  }
  return { cos, sin, positions, halfDim };
}

function ropeFrequencies(
  config: ModelConfig,
  rope: RopeConfig,
  sequenceLength: number,
): { inverseFrequencies: Float32Array; attentionFactor: number } {
  const dim = rotaryDim(config, rope);
  const original = rope.originalMaxPositionEmbeddings ?? config.maxPositionEmbeddings;
  const factor = rope.factor ?? config.maxPositionEmbeddings / original;
  const power = (theta: number, i: number): number => theta ** ((2 * i) / dim);
  const each = (f: (i: number) => number): Float32Array =>
    Float32Array.from({ length: dim / 2 }, (_, i) => f(i));

  switch (rope.type) {
    case 'default':
      return { inverseFrequencies: each((i) => 1 / power(rope.theta, i)), attentionFactor: 1 };
    case 'linear':
      return { inverseFrequencies: each((i) => 1 / power(rope.theta, i) / factor), attentionFactor: 1 };
    case 'dynamic': {
      const length = Math.max(sequenceLength, original);
      const theta = rope.theta * ((factor * length) / original - (factor - 1)) ** (dim / (dim - 2));
      return { inverseFrequencies: each((i) => 1 / power(theta, i)), attentionFactor: 1 };
    }
    case 'llama3':
      return {
        inverseFrequencies: each((i) => llama3(1 / power(rope.theta, i), rope, factor, original)),
        attentionFactor: 1,
      };
    case 'yarn': {
      const ramp = yarnRamp(rope, dim, original);
      return {
        inverseFrequencies: each((i) => {
          const frequency = 1 / power(rope.theta, i);
          return (frequency / factor) * ramp(i) + frequency * (1 - ramp(i));
        }),
        attentionFactor: rope.attentionFactor ?? yarnAttentionFactor(rope, factor),
      };
    }
    case 'longrope': {
      const factors = (sequenceLength > original ? rope.longFactor : rope.shortFactor) ?? [];
      const scale = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
      return {
        inverseFrequencies: each((i) => 1 / (factors[i]! * power(rope.theta, i))),
        attentionFactor: rope.attentionFactor ?? scale,
      };
    }
  }
}

/** Low frequencies are divided by the factor, high ones kept, those between interpolated. */
function llama3(frequency: number, rope: RopeConfig, factor: number, original: number): number {
  const low = rope.lowFreqFactor ?? 1;
  const high = rope.highFreqFactor ?? 4;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength > original / low) return frequency / factor;
  if (wavelength < original / high) return frequency;
  const smooth = (original / wavelength - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/** 0 where a dimension keeps its frequency, 1 where it is divided by the factor. */
function yarnRamp(rope: RopeConfig, dim: number, original: number): (i: number) => number {
  const dimensionOfRotations = (rotations: number): number =>
    (dim * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(rope.theta));
  let low = dimensionOfRotations(rope.betaFast ?? 32);
  let high = dimensionOfRotations(rope.betaSlow ?? 1);
  if (rope.truncate ?? true) {
    low = Math.floor(low);
    high = Math.ceil(high);
  }
  low = Math.max(low, 0);
  high = Math.min(high, dim - 1);
  if (low === high) high += 0.001;
  return (i) => Math.min(1, Math.max(0, (i - low) / (high - low)));
}

function yarnAttentionFactor(rope: RopeConfig, factor: number): number {
  const magnitude = (scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  if (rope.mscale && rope.mscaleAllDim) return magnitude(rope.mscale) / magnitude(rope.mscaleAllDim);
  return magnitude(1);
}
