/** Phi-3, Phi-3.5 and Phi-4 (mini): q, k, v in one tensor, gate and up in another. */
import { parseRope } from '../ropeConfig.ts';
import { commonTraits, everyLayer, type ArchitectureRules } from './rules.ts';

export const phi3: ArchitectureRules = {
  defaults: { rmsNormEps: 1e-5, maxPositionEmbeddings: 4096 },
  traits: (config, sizes) => ({
    // the first files said "yarn" where they meant longrope
    ...commonTraits(config, sizes, {
      ropes: everyLayer(sizes, parseRope(config, sizes, { yarnIsLongrope: true })),
    }),
    slidingWindows: everyLayer(sizes, config.optionalPositiveInteger('sliding_window') ?? null),
    fusedProjections: true,
  }),
};
