/** Where training starts: PEFT's initialisation, drawn once per model and shared by all its passages. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { loraTargets } from '../checkpoint/layers.ts';
import { adapterId } from '../checkpoint/lora.ts';
import type { LoraAdapter, LoraPair, ModelConfig } from '../checkpoint/types.ts';

export interface LoraSettings {
  rank: number;
  /** The scaling of the low-rank update is loraAlpha / rank. */
  loraAlpha: number;
  seed: number;
}

/**
 * A with kaiming_uniform_(a = sqrt(5)), which is uniform in ±1/sqrt(inFeatures), and B zero: the model is unchanged.
 * Layers are drawn in their order, so that the same seed gives the same adapter.
 */
export function initialAdapter(config: ModelConfig, { rank, loraAlpha, seed }: LoraSettings): LoraAdapter {
  const generator = xoroshiro128plus(seed | 0);
  const random = (): number => (generator.next() >>> 0) / 2 ** 32;
  const pairs = new Map<string, LoraPair>();
  for (const { key, inFeatures, outFeatures } of loraTargets(config)) {
    const bound = 1 / Math.sqrt(inFeatures);
    const a = Float32Array.from({ length: rank * inFeatures }, () => (2 * random() - 1) * bound);
    const b = new Float32Array(outFeatures * rank);
    pairs.set(key, { a, b, rank, inFeatures, outFeatures, scaling: loraAlpha / rank });
  }
  return { id: adapterId(pairs), pairs };
}
