/**
 * The one description of a decoder, for all supported architectures: which layers, in which order, on which weights.
 * How an operation is emitted is the caller's: inference uses fused operators (inferenceGraph.ts), training uses
 * operators whose gradients are known.
 */
import {
  finalNormName,
  layerName,
  linearsOf,
  normsOf,
  type BlockNorms,
  type Product,
} from '../checkpoint/layers.ts';
import type { ModelConfig } from '../checkpoint/types.ts';
import type { Value } from '../onnx/graph.ts';

/** Emits the decoder's operations. Activations are (tokens, features): batch and sequence in one axis. */
export interface DecoderOperators {
  add(a: Value, b: Value): Value;
  multiply(a: Value, b: Value): Value;
  /** Times a number; 1 emits nothing. */
  scale(x: Value, factor: number): Value;
  /** The feed-forward layers' activation function. */
  activation(x: Value): Value;
  /** Cuts the last axis into pieces of these sizes. */
  split(x: Value, sizes: readonly number[]): Value[];
  /** RMSNorm over the last axis with the weight of this name. */
  rmsNorm(x: Value, weightName: string): Value;
  /** RMSNorm of every head by itself (Qwen3, Gemma 3): x is (tokens, heads * headDim). */
  headNorm(x: Value, weightName: string, heads: number): Value;
  /** x Wᵀ + b, with the LoRA of this layer where it is a target. */
  linear(x: Value, name: string, bias: boolean): Value;
  /** Rotates q and k where the layer does, appends to its cache, attends causally, within its window. */
  attention(layer: number, q: Value, k: Value, v: Value): Value;
}

/**
 * Emits all layers and the final norm.
 * @param inputsEmbeds (tokens, hiddenSize), unscaled
 * @returns the last hidden states (tokens, hiddenSize), to which the head applies
 */
export function emitDecoder(operators: DecoderOperators, config: ModelConfig, inputsEmbeds: Value): Value {
  const norms = normsOf(config);
  let hidden = operators.scale(inputsEmbeds, config.embeddingScale);
  for (let layer = 0; layer < config.numLayers; layer++) {
    const prefix = layerName(layer);
    const norm = (x: Value, name: string): Value => operators.rmsNorm(x, `${prefix}.${name}.weight`);
    const block = ({ before, after }: BlockNorms, emit: (x: Value) => Value): void => {
      const output = emit(norm(hidden, before));
      const update = after === undefined ? output : norm(output, after);
      hidden = operators.add(hidden, operators.scale(update, config.residualScale));
    };
    block(norms.attention, (x) => emitAttention(operators, config, layer, x));
    block(norms.feedForward, (x) => emitFeedForward(operators, config, layer, x));
  }
  return operators.rmsNorm(hidden, `${finalNormName}.weight`);
}

function emitAttention(operators: DecoderOperators, config: ModelConfig, layer: number, x: Value): Value {
  const { numHeads, numKeyValueHeads, headDim } = config;
  const { heads } = normsOf(config);
  const sizes = [numHeads * headDim, numKeyValueHeads * headDim, numKeyValueHeads * headDim];
  const [q, k, v] = emitProduct(operators, config, layer, 'self_attn.qkv_proj', x, sizes);
  const normed = (value: Value, norm: string | undefined, count: number): Value =>
    norm ? operators.headNorm(value, `${layerName(layer)}.${norm}.weight`, count) : value;
  const query = normed(q!, heads?.query, numHeads);
  const key = normed(k!, heads?.key, numKeyValueHeads);
  const attended = operators.attention(layer, query, key, v!);
  return emitProduct(operators, config, layer, 'self_attn.o_proj', attended)[0]!;
}

function emitFeedForward(operators: DecoderOperators, config: ModelConfig, layer: number, x: Value): Value {
  const { intermediateSize } = config;
  const sizes = [intermediateSize, intermediateSize];
  const [gate, up] = emitProduct(operators, config, layer, 'mlp.gate_up_proj', x, sizes);
  const activated = operators.multiply(operators.activation(gate!), up!);
  return emitProduct(operators, config, layer, 'mlp.down_proj', activated)[0]!;
}

/**
 * What the linear layers of a product put out, each.
 * @param sizes the parts of a product whose linear layers are one in the checkpoint
 */
function emitProduct(
  operators: DecoderOperators,
  config: ModelConfig,
  layer: number,
  product: Product,
  x: Value,
  sizes: readonly number[] = [],
): Value[] {
  const outputs = linearsOf(config)
    .filter((linear) => linear.product === product)
    .map(({ name, bias }) => operators.linear(x, `${layerName(layer)}.${name}`, bias));
  return outputs.length < sizes.length ? operators.split(outputs[0]!, sizes) : outputs;
}
