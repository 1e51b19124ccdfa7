/** Qwen2 (biases on q, k and v) and Qwen3 (norms of queries and keys instead); some of their layers may have a window. */
import type { ConfigReader } from '../configReader.ts';
import {
  biasesOf,
  commonTraits,
  everyLayer,
  slidingLayers,
  type ArchitectureRules,
  type Sizes,
} from './rules.ts';

export const qwen2: ArchitectureRules = {
  defaults: { rmsNormEps: 1e-6, maxPositionEmbeddings: 32768 },
  traits: (config, sizes) => ({
    ...commonTraits(config, sizes),
    slidingWindows: windows(config, sizes),
    attentionBias: { qkv: true, output: false },
  }),
};

export const qwen3: ArchitectureRules = {
  defaults: { rmsNormEps: 1e-6, maxPositionEmbeddings: 32768, headDim: 128 },
  traits: (config, sizes) => ({
    ...commonTraits(config, sizes),
    slidingWindows: windows(config, sizes),
    attentionBias: biasesOf(config).attentionBias,
    queryKeyNorm: true,
  }),
};

/** Only if `use_sliding_window`: in the layers that `layer_types` names, else in those from `max_window_layers` on. */
function windows(config: ConfigReader, sizes: Sizes): (number | null)[] {
  const none = everyLayer<number | null>(sizes, null);
  if (!config.boolean('use_sliding_window', false)) return none;
  const window = config.isAbsent('sliding_window') ? 4096 : config.optionalPositiveInteger('sliding_window');
  if (window === undefined) return none;
  const first = config.nonNegativeInteger('max_window_layers', 28);
  const sliding = slidingLayers(config, sizes) ?? none.map((_, layer) => layer >= first);
  return sliding.map((isSliding) => (isSliding ? window : null));
}
