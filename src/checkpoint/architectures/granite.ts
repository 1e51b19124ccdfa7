/** Granite (dense): Llama with four factors. Source: transformers, `models/granite`. */
import { biasesOf, commonTraits, type ArchitectureRules } from './rules.ts';

export const granite: ArchitectureRules = {
  defaults: { rmsNormEps: 1e-6, maxPositionEmbeddings: 2048 },
  traits: (config, sizes) => ({
    ...commonTraits(config, sizes),
    ...biasesOf(config),
    embeddingScale: config.positiveNumber('embedding_multiplier', 1),
    residualScale: config.positiveNumber('residual_multiplier', 1),
    scoreScale: config.positiveNumber('attention_multiplier', 1),
    logitsScale: 1 / config.positiveNumber('logits_scaling', 1),
  }),
};
