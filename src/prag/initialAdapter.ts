/** Where training starts: PEFT's initialisation, drawn once per model and shared by all its passages. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { adapterId, loraModuleShapes } from '../checkpoint/lora.ts';
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
  for (let layer = 0; layer < config.numLayers; layer++) {
    for (const [module, { inFeatures, outFeatures }] of loraModuleShapes(config)) {
      const bound = 1 / Math.sqrt(inFeatures);
      const a = Float32Array.from({ length: rank * inFeatures }, () => (2 * random() - 1) * bound);
      const b = new Float32Array(outFeatures * rank);
      pairs.set(`${layer}.${module}`, { a, b, rank, inFeatures, outFeatures, scaling: loraAlpha / rank });
    }
  }
  return { id: adapterId(pairs), pairs };
}
