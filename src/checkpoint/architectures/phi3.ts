/** Phi-3, Phi-3.5 and Phi-4 (mini): q, k, v in one tensor, gate and up in another. */
import { parseRope, type RopeOptions } from '../ropeConfig.ts';
import { commonTraits, everyLayer, type ArchitectureRules } from './rules.ts';

const rotation: RopeOptions = {
  // the first files said "su" or "yarn" where they meant longrope
  types: { default: 'default', longrope: 'longrope', su: 'longrope', yarn: 'longrope' },
  partial: true,
  originalMaxPositionEmbeddings: 4096,
};

export const phi3: ArchitectureRules = {
  defaults: { rmsNormEps: 1e-5, maxPositionEmbeddings: 4096 },
  traits: (config, sizes) => ({
    ...commonTraits(config, sizes, { ropes: everyLayer(sizes, parseRope(config, sizes, rotation)) }),
    slidingWindows: everyLayer(sizes, config.optionalPositiveInteger('sliding_window') ?? null),
    fusedProjections: true,
  }),
};
