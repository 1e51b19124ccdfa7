/** Llama, and Mistral, which differs by a window in every layer. */
import { biasesOf, commonTraits, everyLayer, type ArchitectureRules } from './rules.ts';

export const llama: ArchitectureRules = {
  defaults: { rmsNormEps: 1e-6, maxPositionEmbeddings: 2048 },
  traits: (config, sizes) => ({ ...commonTraits(config, sizes), ...biasesOf(config) }),
};

export const mistral: ArchitectureRules = {
  defaults: { rmsNormEps: 1e-6, maxPositionEmbeddings: 131072, numKeyValueHeads: 8 },
  traits: (config, sizes) => {
    // a config without the key has the window of the first Mistral; null says that there is none
    const window = config.isAbsent('sliding_window')
      ? 4096
      : (config.optionalPositiveInteger('sliding_window') ?? null);
    return { ...commonTraits(config, sizes), slidingWindows: everyLayer(sizes, window) };
  },
};
