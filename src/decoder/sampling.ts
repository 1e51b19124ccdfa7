/**
 * From logits to the next token: greedy, or seeded sampling with temperature, top-k, top-p and repetition penalty,
 * applied in the order of transformers' logits processors.
 */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { UserError } from '../protocol/errors.ts';
import type { GenerationSettings } from './types.ts';

export interface SampledToken {
  tokenId: number;
  /** Natural logarithm of the probability under the untouched softmax (temperature 1, no filter). */
  logProbability: number;
  /** The likeliest tokens of the untouched softmax, best first. */
  alternatives: { tokenId: number; logProbability: number }[];
}

/** Tokens that much below the best add less than 1e-12 to the logarithm of a sum over any vocabulary. */
const negligible = -40;

/** Chooses tokens for one prompt; holds the random stream and the tokens seen so far. */
export class Sampler {
  private readonly settings: GenerationSettings;
  private readonly random: () => number;
  private readonly seen: Set<number>;

  /**
   * @param stream the prompt's number in its comparison: every prompt has its own random stream of the seed
   * @param promptIds token ids of the prompt, which the repetition penalty counts as seen
   */
  constructor(settings: GenerationSettings, stream: number, promptIds: Iterable<number>) {
    this.settings = settings;
    this.seen = new Set(promptIds);
    const generator = xoroshiro128plus(((settings.seed ?? 0) + Math.imul(stream, 0x9e3779b9)) | 0);
    this.random = () => (generator.next() >>> 0) / 2 ** 32;
  }

  /**
   * @param logits (vocabSize)
   * @throws UserError if a logit is not finite: the answer would be garbage
   */
  next(logits: Float32Array): SampledToken {
    const logNormalizer = logSumExp(logits);
    const { temperature = 0, alternatives = 0 } = this.settings;
    const penalized = this.penalize(logits);
    const tokenId = temperature > 0 ? this.draw(penalized, temperature) : indexOfMaximum(penalized);
    this.seen.add(tokenId);
    return {
      tokenId,
      logProbability: logits[tokenId]! - logNormalizer,
      alternatives: largest(logits, alternatives).map((id) => ({
        tokenId: id,
        logProbability: logits[id]! - logNormalizer,
      })),
    };
  }

  private penalize(logits: Float32Array): Float32Array {
    const penalty = this.settings.repetitionPenalty ?? 1;
    if (penalty === 1) return logits;
    const penalized = logits.slice();
    for (const id of this.seen) {
      const logit = penalized[id];
      if (logit !== undefined) penalized[id] = logit > 0 ? logit / penalty : logit * penalty;
    }
    return penalized;
  }

  private draw(logits: Float32Array, temperature: number): number {
    const { topK = 0, topP = 1 } = this.settings;
    const count = topK > 0 ? Math.min(topK, logits.length) : logits.length;
    const candidates = largest(logits, count);
    const best = logits[candidates[0]!]!;
    const weights = candidates.map((id) => Math.exp((logits[id]! - best) / temperature));
    const total = weights.reduce((a, b) => a + b, 0);
    // the smallest set of likeliest tokens whose probability reaches topP
    let kept = 0;
    let keptWeight = 0;
    while (kept < candidates.length && (kept === 0 || keptWeight < topP * total))
      keptWeight += weights[kept++]!;
    let point = this.random() * keptWeight;
    for (let i = 0; i < kept; i++) {
      point -= weights[i]!;
      if (point < 0) return candidates[i]!;
    }
    return candidates[kept - 1]!;
  }
}

/**
 * The logits of contrastive decoding, (1 + strength) x logits - strength x against (vocabSize); their softmax is the
 * distribution of context-aware decoding (arXiv 2305.14739, equation 2).
 */
export function contrast(logits: Float32Array, against: Float32Array, strength: number): Float32Array {
  const result = new Float32Array(logits.length);
  for (let i = 0; i < result.length; i++) result[i] = (1 + strength) * logits[i]! - strength * against[i]!;
  return result;
}

/** exp(-i / stepsPerUnit) as far as it is not negligible: what lies between is a short series away. */
const stepsPerUnit = 256;
const exponentials = Float64Array.from({ length: -negligible * stepsPerUnit + 1 }, (_, i) =>
  Math.exp(-i / stepsPerUnit),
);

/**
 * Logarithm of the sum of exponentials, to a relative error of the sum below 1e-11. It runs for every token over the
 * whole vocabulary: indexed loops and a table, for iterators and Math.exp take several times as long.
 * @throws UserError if a logit is not finite: the answer would be garbage
 */
export function logSumExp(logits: Float32Array): number {
  let maximum = -Infinity;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > maximum) maximum = logits[i]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    const below = logits[i]! - maximum;
    if (below < negligible) continue; // not so NaN, which must show
    const steps = -below * stepsPerUnit;
    const whole = steps | 0;
    const rest = (whole - steps) / stepsPerUnit; // within (-1 / stepsPerUnit, 0]
    sum += exponentials[whole]! * (1 + rest * (1 + rest * (0.5 + rest * (1 / 6))));
  }
  if (!Number.isFinite(maximum) || !Number.isFinite(sum)) {
    throw new UserError(
      'The model gave logits that are not finite numbers, so any answer would be garbage. Its weights or the ' +
        'embedding file may be damaged (NaN or infinite values), or the precision is too low for this model: ' +
        'check the files, or try precision f32.',
    );
  }
  return maximum + Math.log(sum);
}

function indexOfMaximum(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/** Indices of the `count` largest values, largest first; ties by index. */
function largest(values: Float32Array, count: number): number[] {
  if (count <= 0) return [];
  if (count > 64) {
    return Array.from(values.keys())
      .sort((a, b) => values[b]! - values[a]! || a - b)
      .slice(0, count);
  }
  const top: number[] = [];
  for (let i = 0; i < values.length; i++) {
    if (top.length === count && values[i]! <= values[top[count - 1]!]!) continue;
    let place = top.length;
    while (place > 0 && values[i]! > values[top[place - 1]!]!) place--;
    top.splice(place, 0, i);
    if (top.length > count) top.pop();
  }
  return top;
}
