/** SmolLM3: Llama without rotation in every fourth layer. Source: transformers, `models/smollm3`. */
import { parseRope } from '../ropeConfig.ts';
import { biasesOf, commonTraits, everyLayer, slidingLayers, type ArchitectureRules } from './rules.ts';

export const smollm3: ArchitectureRules = {
  defaults: { rmsNormEps: 1e-6, maxPositionEmbeddings: 32768, numKeyValueHeads: 4, tieWordEmbeddings: true },
  traits: (config, sizes) => {
    const interval = config.positiveInteger('no_rope_layer_interval', 4);
    const rotates =
      config.flagList('no_rope_layers', sizes.numLayers) ??
      everyLayer(sizes, true).map((_, layer) => (layer + 1) % interval !== 0);
    const rope = parseRope(config, sizes, { theta: config.positiveNumber('rope_theta', 2e6) });
    const window = config.boolean('use_sliding_window', false)
      ? config.optionalPositiveInteger('sliding_window')
      : undefined;
    const sliding =
      slidingLayers(config, sizes) ?? rotates.map((isRotated) => window !== undefined && !isRotated);
    if (window === undefined && sliding.includes(true)) {
      throw config.error(
        'layer_types',
        'no "sliding_attention" without use_sliding_window and sliding_window',
      );
    }
    return {
      ...commonTraits(config, sizes, { ropes: rotates.map((isRotated) => (isRotated ? rope : null)) }),
      ...biasesOf(config),
      slidingWindows: sliding.map((isSliding) => (isSliding ? window! : null)),
    };
  },
};
