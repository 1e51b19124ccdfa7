/**
 * The one description of a decoder, for all supported architectures: which layers, in which order, on which weights.
 * How an operation is emitted is the caller's: inference uses fused operators (inferenceGraph.ts), training uses
 * operators whose gradients are known.
 */
import type { ModelConfig } from '../checkpoint/types.ts';
import type { Value } from '../onnx/graph.ts';

/** Emits the decoder's operations. Activations are (tokens, features): batch and sequence in one axis. */
export interface DecoderOperators {
  add(a: Value, b: Value): Value;
  multiply(a: Value, b: Value): Value;
  silu(x: Value): Value;
  /** Cuts the last axis into pieces of these sizes. */
  split(x: Value, sizes: readonly number[]): Value[];
  /** RMSNorm over the last axis with the weight of this name. */
  rmsNorm(x: Value, weightName: string): Value;
  /** RMSNorm of every head by itself (Qwen3): x is (tokens, heads * headDim). */
  headNorm(x: Value, weightName: string, heads: number): Value;
  /** x Wᵀ + b, with the LoRA of this layer where it is a target. */
  linear(x: Value, name: string, bias: boolean): Value;
  /** Rotates q and k, appends to the layer's cache, attends causally (within the layer's window). */
  attention(layer: number, q: Value, k: Value, v: Value): Value;
}

/**
 * Emits all layers and the final norm.
 * @param inputsEmbeds (tokens, hiddenSize)
 * @returns the last hidden states (tokens, hiddenSize), to which the head applies
 */
export function emitDecoder(operators: DecoderOperators, config: ModelConfig, inputsEmbeds: Value): Value {
  let hidden = inputsEmbeds;
  for (let layer = 0; layer < config.numLayers; layer++) {
    const name = `model.layers.${layer}`;
    const attended = emitAttention(
      operators,
      config,
      layer,
      operators.rmsNorm(hidden, `${name}.input_layernorm.weight`),
    );
    hidden = operators.add(hidden, attended);
    const normed = operators.rmsNorm(hidden, `${name}.post_attention_layernorm.weight`);
    hidden = operators.add(hidden, emitFeedForward(operators, config, `${name}.mlp`, normed));
  }
  return operators.rmsNorm(hidden, 'model.norm.weight');
}

function emitAttention(operators: DecoderOperators, config: ModelConfig, layer: number, x: Value): Value {
  const name = `model.layers.${layer}.self_attn`;
  const querySize = config.numHeads * config.headDim;
  const keySize = config.numKeyValueHeads * config.headDim;
  const bias = config.attentionBias.qkv;
  const [q, k, v] = config.fusedProjections
    ? operators.split(operators.linear(x, `${name}.qkv_proj`, bias), [querySize, keySize, keySize])
    : ['q_proj', 'k_proj', 'v_proj'].map((projection) => operators.linear(x, `${name}.${projection}`, bias));
  const normed = (value: Value, norm: string, heads: number): Value =>
    config.queryKeyNorm ? operators.headNorm(value, `${name}.${norm}.weight`, heads) : value;
  const query = normed(q!, 'q_norm', config.numHeads);
  const key = normed(k!, 'k_norm', config.numKeyValueHeads);
  const attended = operators.attention(layer, query, key, v!);
  return operators.linear(attended, `${name}.o_proj`, config.attentionBias.output);
}

function emitFeedForward(operators: DecoderOperators, config: ModelConfig, name: string, x: Value): Value {
  const [gate, up] = config.fusedProjections
    ? operators.split(operators.linear(x, `${name}.gate_up_proj`, config.mlpBias), [
        config.intermediateSize,
        config.intermediateSize,
      ])
    : ['gate_proj', 'up_proj'].map((projection) =>
        operators.linear(x, `${name}.${projection}`, config.mlpBias),
      );
  const activated = operators.multiply(operators.silu(gate!), up!);
  return operators.linear(activated, `${name}.down_proj`, config.mlpBias);
}

/** The linear layers that take a LoRA, with their sizes, in graph order: key `${layer}.${module}` as in LoraAdapter. */
export function loraTargets(config: ModelConfig): { key: string; inFeatures: number; outFeatures: number }[] {
  const { hiddenSize, intermediateSize, fusedProjections } = config;
  const modules: [string, number, number][] = fusedProjections
    ? [['gate_up_proj', hiddenSize, 2 * intermediateSize]]
    : [
        ['gate_proj', hiddenSize, intermediateSize],
        ['up_proj', hiddenSize, intermediateSize],
      ];
  modules.push(['down_proj', intermediateSize, hiddenSize]);
  return Array.from({ length: config.numLayers }, (_, layer) =>
    modules.map(([module, inFeatures, outFeatures]) => ({
      key: `${layer}.${module}`,
      inFeatures,
      outFeatures,
    })),
  ).flat();
}

/** The key of a LoRA target from the linear layer's full name, undefined if it takes none. */
export function loraKey(name: string): string | undefined {
  const match = /^model\.layers\.(\d+)\.mlp\.(\w+)$/.exec(name);
  return match ? `${match[1]}.${match[2]}` : undefined;
}
