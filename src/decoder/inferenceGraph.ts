/**
 * The graph that answers: fused operators over the checkpoint's own files, with `inputs_embeds` in and keys and values
 * beside it. Virtual tokens are rows of `inputs_embeds`; LoRA factors are inputs, so neither needs a reload. Rank 0
 * leaves the model as it is.
 */
import { headName, loraTargets } from '../checkpoint/layers.ts';
import type { ModelConfig } from '../checkpoint/types.ts';
import { Graph, microsoftDomain, type Value } from '../onnx/graph.ts';
import { emitDecoder, type DecoderOperators } from './architecture.ts';
import { FusedAttention, type AttentionEmitter } from './attention.ts';
import { BlockAttention } from './blockAttention.ts';
import { castTo, type ActivationType, type GraphWeights } from './graphWeights.ts';
import { CommonOperators } from './operators.ts';

export interface InferenceGraphOptions {
  /** Type of activations, keys and values; rotary tables and LoRA factors must have it too. */
  activations: ActivationType;
  /** Whether the graph has LoRA inputs. */
  lora: boolean;
  /** `blocks` for keys and values of the host, `fused` or `plain` (see FusedAttention) for those of a device. */
  attention: 'blocks' | 'fused' | 'plain';
}

/**
 * Emits the inference graph of a checkpoint.
 *
 * Inputs: `inputs_embeds` float32 (tokens, hiddenSize), as the embedding matrix has them; `logits_indices` int64: the
 * tokens whose logits are wanted; those of the attention; with `lora` or an attention on a device `batch_shape` int64: [batch, sequence, -1], the
 * tokens as rows of a batch; `lora_a.L.M` (batch, in, rank), `lora_b.L.M` (batch, rank, out), the scaling folded
 * into B.
 *
 * Outputs: `logits` float32 (indices, vocabSize); those of the attention.
 */
export function emitInferenceGraph(
  config: ModelConfig,
  emitWeights: (graph: Graph) => GraphWeights,
  options: InferenceGraphOptions,
): Graph {
  const graph = new Graph();
  const inputsEmbeds = graph.input('inputs_embeds', 'float32', ['tokens', config.hiddenSize]);
  const logitsIndices = graph.input('logits_indices', 'int64', ['indices']);
  const operators = new InferenceOperators(graph, config, emitWeights(graph), options);
  const hidden = emitDecoder(operators, config, castTo(graph, inputsEmbeds, options.activations));
  const wanted = graph.node('Gather', [hidden, logitsIndices], { axis: 0 });
  graph.output('logits', castTo(graph, operators.head(wanted), 'float32'), ['indices', config.vocabSize]);
  return graph;
}

/** `a` (batch, in, rank), `b` (batch, rank, out) */
interface LoraFactors {
  a: Value;
  b: Value;
}

class InferenceOperators extends CommonOperators implements DecoderOperators {
  private readonly weights: GraphWeights;
  private readonly attentionEmitter: AttentionEmitter;
  /** By the linear layer's name. */
  private readonly loraFactors = new Map<string, LoraFactors>();
  private readonly onHost: boolean;
  /** Only where tokens are rows of a batch. */
  private readonly batchShape: Value | undefined;

  constructor(graph: Graph, config: ModelConfig, weights: GraphWeights, options: InferenceGraphOptions) {
    super(graph, config);
    this.weights = weights;
    const { activations: type, lora, attention } = options;
    this.onHost = attention === 'blocks';
    if (attention === 'blocks') this.attentionEmitter = new BlockAttention(graph, config);
    else {
      this.batchShape = graph.input('batch_shape', 'int64', [3]);
      this.attentionEmitter = new FusedAttention(graph, config, type, this.batchShape, attention === 'plain');
    }
    if (!lora) return;
    this.batchShape ??= graph.input('batch_shape', 'int64', [3]);
    for (const { name, key, inFeatures, outFeatures } of loraTargets(config)) {
      this.loraFactors.set(name, {
        a: graph.input(`lora_a.${key}`, type, ['batch', inFeatures, 'rank']),
        b: graph.input(`lora_b.${key}`, type, ['batch', 'rank', outFeatures]),
      });
    }
  }

  rmsNorm(x: Value, weightName: string): Value {
    return this.normalize(x, this.weights.vector(weightName));
  }

  headNorm(x: Value, weightName: string, heads: number): Value {
    const { graph, config } = this;
    const perHead = graph.node('Reshape', [x, graph.integers(-1, config.headDim)]);
    const normed = this.rmsNorm(perHead, weightName);
    return graph.node('Reshape', [normed, graph.integers(-1, heads * config.headDim)]);
  }

  linear(x: Value, name: string, bias: boolean): Value {
    const y = this.weights.linear(x, name, bias);
    const lora = this.loraFactors.get(name);
    if (!lora) return y;
    const rows = this.graph.node('Reshape', [x, this.batchShape!]); // (batch, sequence, in)
    const update = this.onHost ? this.hostUpdate(rows, lora) : this.update(rows, lora);
    return this.add(y, this.graph.node('Flatten', [update], { axis: 2 }));
  }

  /** (batch, sequence, out) */
  private update(rows: Value, { a, b }: LoraFactors): Value {
    return this.graph.node('MatMul', [this.graph.node('MatMul', [rows, a]), b]);
  }

  /**
   * The same with products whose order of summation does not follow from the number of rows, nor from the largest rank
   * in the batch: factors other than 1 keep the runtime from its kernels for one row, and with a transposed first matrix
   * it has one stride along K (MLAS, sgemm.cpp).
   */
  private hostUpdate(rows: Value, { a, b }: LoraFactors): Value {
    const { graph } = this;
    const domain = { domain: microsoftDomain };
    const columns = graph.node('Transpose', [rows], { perm: [0, 2, 1] }); // (batch, in, sequence)
    const low = graph.node('FusedMatMul', [columns, a], { transA: 1, alpha: { float: 2 } }, domain);
    return graph.node('FusedMatMul', [low, b], { alpha: { float: 0.5 } }, domain);
  }

  attention(layer: number, q: Value, k: Value, v: Value): Value {
    return this.attentionEmitter.emit(layer, q, k, v);
  }

  /** The language-model head on (rows, hiddenSize): logits (rows, vocabSize). */
  head(hidden: Value): Value {
    const logits = this.weights.linear(hidden, headName(this.config), false);
    return this.scale(logits, this.config.logitsScale);
  }
}
