/**
 * AdamW as torch.optim.AdamW computes it (Loshchilov and Hutter, arXiv 1711.05101): weight decay acts on the
 * parameters alone, not through the moments.
 */
export interface AdamWSettings {
  betas: readonly [number, number];
  epsilon: number;
  weightDecay: number;
}

export const adamWDefaults: AdamWSettings = { betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 0 };

/** The moments of one parameter tensor. */
export interface Moments {
  first: Float32Array;
  second: Float32Array;
}

export class AdamW {
  private readonly settings: AdamWSettings;
  /** By parameter name. */
  readonly moments = new Map<string, Moments>();
  /** Steps taken; set it, and the moments, to go on from a saved state. */
  step = 0;

  constructor(settings: Partial<AdamWSettings> = {}) {
    this.settings = { ...adamWDefaults, ...settings };
  }

  /** Takes one step with all parameters, in place. Every parameter needs a gradient of its size. */
  update(
    parameters: ReadonlyMap<string, Float32Array>,
    gradients: ReadonlyMap<string, Float32Array>,
    learningRate: number,
  ): void {
    this.step++;
    const {
      betas: [beta1, beta2],
      epsilon,
      weightDecay,
    } = this.settings;
    const stepSize = learningRate / (1 - beta1 ** this.step);
    const secondCorrection = Math.sqrt(1 - beta2 ** this.step);
    for (const [name, parameter] of parameters) {
      const gradient = gradients.get(name);
      if (gradient?.length !== parameter.length) throw new Error(`No gradient of the size of ${name}.`);
      const { first, second } = this.momentsOf(name, parameter.length);
      for (let i = 0; i < parameter.length; i++) {
        const g = gradient[i]!;
        first[i] = first[i]! + (g - first[i]!) * (1 - beta1);
        second[i] = beta2 * second[i]! + (1 - beta2) * g * g;
        const decayed = parameter[i]! * (1 - learningRate * weightDecay);
        const denominator = Math.sqrt(second[i]!) / secondCorrection + epsilon;
        parameter[i] = decayed - (stepSize * first[i]!) / denominator;
      }
    }
  }

  private momentsOf(name: string, size: number): Moments {
    let moments = this.moments.get(name);
    if (!moments) {
      moments = { first: new Float32Array(size), second: new Float32Array(size) };
      this.moments.set(name, moments);
    }
    return moments;
  }
}

/** The Euclidean norm of all gradients together. */
export function gradientNorm(gradients: Iterable<Float32Array>): number {
  let sum = 0;
  for (const gradient of gradients) for (const g of gradient) sum += g * g;
  return Math.sqrt(sum);
}

/** Scales gradients in place so that their norm is at most `maximum` (torch's clip_grad_norm_); returns the norm before. */
export function clipGradients(gradients: readonly Float32Array[], maximum: number): number {
  const norm = gradientNorm(gradients);
  const scale = maximum / (norm + 1e-6);
  if (scale < 1)
    for (const gradient of gradients) for (let i = 0; i < gradient.length; i++) gradient[i]! *= scale;
  return norm;
}
