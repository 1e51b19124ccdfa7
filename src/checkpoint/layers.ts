/**
 * What a layer of a decoder is made of, for all supported architectures: its linear layers and its norms, under their
 * Hugging Face names. Names and shapes of a checkpoint's tensors, the graphs, quantised files, LoRA targets and
 * estimates of memory all derive from this.
 */
import type { ModelConfig } from './types.ts';

/** What the linear layers depend on. */
export type LayerShape = Pick<
  ModelConfig,
  | 'hiddenSize'
  | 'intermediateSize'
  | 'numHeads'
  | 'numKeyValueHeads'
  | 'headDim'
  | 'attentionBias'
  | 'mlpBias'
  | 'fusedProjections'
>;

/** The products of a layer: linear layers that read the same input can be computed as one. */
export type Product = 'self_attn.qkv_proj' | 'self_attn.o_proj' | 'mlp.gate_up_proj' | 'mlp.down_proj';

export interface Linear {
  /** Within the layer, such as `self_attn.q_proj`. */
  name: string;
  inFeatures: number;
  outFeatures: number;
  bias: boolean;
  /** The product it is a part of: one with the name of its product is the whole of it. */
  product: Product;
  /** Whether a LoRA may sit on it: as in Parametric RAG, on the feed-forward layers. */
  lora: boolean;
}

/** The linear layers of one layer, in the order of their use. */
export function linearsOf(shape: LayerShape): Linear[] {
  const { hiddenSize, intermediateSize, attentionBias, mlpBias, fusedProjections: fused } = shape;
  const queries = shape.numHeads * shape.headDim;
  const keys = shape.numKeyValueHeads * shape.headDim;
  const attention = (product: Product, bias: boolean) => ({ product, bias, lora: false });
  const feedForward = (product: Product) => ({ product, bias: mlpBias, lora: true });
  const qkv = { ...attention('self_attn.qkv_proj', attentionBias.qkv), inFeatures: hiddenSize };
  const gateUp = { ...feedForward('mlp.gate_up_proj'), inFeatures: hiddenSize };
  return [
    ...(fused
      ? [{ ...qkv, name: 'self_attn.qkv_proj', outFeatures: queries + 2 * keys }]
      : [
          { ...qkv, name: 'self_attn.q_proj', outFeatures: queries },
          { ...qkv, name: 'self_attn.k_proj', outFeatures: keys },
          { ...qkv, name: 'self_attn.v_proj', outFeatures: keys },
        ]),
    {
      ...attention('self_attn.o_proj', attentionBias.output),
      name: 'self_attn.o_proj',
      inFeatures: queries,
      outFeatures: hiddenSize,
    },
    ...(fused
      ? [{ ...gateUp, name: 'mlp.gate_up_proj', outFeatures: 2 * intermediateSize }]
      : [
          { ...gateUp, name: 'mlp.gate_proj', outFeatures: intermediateSize },
          { ...gateUp, name: 'mlp.up_proj', outFeatures: intermediateSize },
        ]),
    {
      ...feedForward('mlp.down_proj'),
      name: 'mlp.down_proj',
      inFeatures: intermediateSize,
      outFeatures: hiddenSize,
    },
  ];
}

/** The norms of a layer, by their names within it: before a block, and where there are such, of what it puts out. */
export interface LayerNorms {
  attention: BlockNorms;
  feedForward: BlockNorms;
  /** Of every head's queries and keys by itself, before the rotation. */
  heads?: { query: string; key: string };
}

export interface BlockNorms {
  before: string;
  after?: string;
}

export function normsOf(config: Pick<ModelConfig, 'queryKeyNorm' | 'normsAfterBlocks'>): LayerNorms {
  return {
    ...(config.normsAfterBlocks
      ? {
          attention: { before: 'input_layernorm', after: 'post_attention_layernorm' },
          feedForward: { before: 'pre_feedforward_layernorm', after: 'post_feedforward_layernorm' },
        }
      : {
          attention: { before: 'input_layernorm' },
          feedForward: { before: 'post_attention_layernorm' },
        }),
    ...(config.queryKeyNorm ? { heads: { query: 'self_attn.q_norm', key: 'self_attn.k_norm' } } : {}),
  };
}

/** The prefix of a layer's names. */
export function layerName(layer: number): string {
  return `model.layers.${layer}`;
}

/**
 * A tensor's name as a language model alone has it: beside a vision model, transformers 5 calls its layers
 * `model.language_model.layers.0`, transformers 4 `language_model.model.layers.0`.
 */
export function textName(name: string): string {
  return name.replace(/^model\.language_model\./, 'model.').replace(/^language_model\./, '');
}

/** The token embeddings and the last norm. */
export const embeddingsName = 'model.embed_tokens';
export const finalNormName = 'model.norm';

/** The language-model head's name as a linear layer: the embeddings themselves where it is tied to them. */
export function headName({ tieWordEmbeddings }: Pick<ModelConfig, 'tieWordEmbeddings'>): string {
  return tieWordEmbeddings ? embeddingsName : 'lm_head';
}

/** The names and shapes of a model's tensors, as Hugging Face names them. Linear weights are (out, in). */
export function expectedTensors(config: ModelConfig): Map<string, number[]> {
  const { hiddenSize, headDim, vocabSize } = config;
  const { attention, feedForward, heads } = normsOf(config);
  const shapes = new Map([[`${embeddingsName}.weight`, [vocabSize, hiddenSize]]]);
  for (let layer = 0; layer < config.numLayers; layer++) {
    const prefix = layerName(layer);
    for (const { name, inFeatures, outFeatures, bias } of linearsOf(config)) {
      shapes.set(`${prefix}.${name}.weight`, [outFeatures, inFeatures]);
      if (bias) shapes.set(`${prefix}.${name}.bias`, [outFeatures]);
    }
    for (const name of [attention, feedForward].flatMap(
      (norms: BlockNorms) => Object.values(norms) as string[],
    )) {
      shapes.set(`${prefix}.${name}.weight`, [hiddenSize]);
    }
    for (const name of Object.values(heads ?? {})) shapes.set(`${prefix}.${name}.weight`, [headDim]);
  }
  shapes.set(`${finalNormName}.weight`, [hiddenSize]);
  shapes.set(`${headName(config)}.weight`, [vocabSize, hiddenSize]);
  return shapes;
}

/** A linear layer of the model that takes a LoRA. */
export interface LoraTarget {
  /** As in LoraAdapter: `3.gate_proj`. */
  key: string;
  /** The linear layer's full name: `model.layers.3.mlp.gate_proj`. */
  name: string;
  inFeatures: number;
  outFeatures: number;
}

/** All linear layers that take a LoRA, in the order of the graph. */
export function loraTargets(config: LayerShape & Pick<ModelConfig, 'numLayers'>): LoraTarget[] {
  const modules = linearsOf(config).filter(({ lora }) => lora);
  return Array.from({ length: config.numLayers }, (_, layer) =>
    modules.map(({ name, inFeatures, outFeatures }) => ({
      key: `${layer}.${name.split('.').at(-1)!}`,
      name: `${layerName(layer)}.${name}`,
      inFeatures,
      outFeatures,
    })),
  ).flat();
}

/** The full name of the linear layer that a LoRA's key means. */
export function loraLinearName(key: string): string {
  const [layer, module] = key.split('.') as [string, string];
  return `${layerName(Number(layer))}.mlp.${module}`;
}

/**
 * Parameters of the linear layers that every token passes, the output head among them. The input embedding is not:
 * its rows are read from the file as they are needed.
 */
export function linearParameters(
  shape: Omit<LayerShape, 'attentionBias' | 'mlpBias' | 'fusedProjections'> &
    Pick<ModelConfig, 'numLayers' | 'vocabSize'>,
): number {
  const unbiased = { attentionBias: { qkv: false, output: false }, mlpBias: false, fusedProjections: false };
  const perLayer = linearsOf({ ...shape, ...unbiased }).reduce(
    (sum, { inFeatures, outFeatures }) => sum + inFeatures * outFeatures,
    0,
  );
  return shape.numLayers * perLayer + shape.vocabSize * shape.hiddenSize;
}
