/**
 * The graph that answers: fused operators over the checkpoint's own files, with `inputs_embeds` in and a cache of
 * keys and values beside it. Virtual tokens are rows of `inputs_embeds`; LoRA factors are inputs, so neither needs a
 * reload. Rank 0 leaves the model as it is.
 */
import { headName } from '../checkpoint/quantized/recipe.ts';
import type { ModelConfig } from '../checkpoint/types.ts';
import { Graph, microsoftDomain, type Value } from '../onnx/graph.ts';
import { emitDecoder, loraKey, loraTargets, type DecoderOperators } from './architecture.ts';
import type { ActivationType } from './deviceMemory.ts';
import { castTo, type GraphWeights } from './graphWeights.ts';
import { rotaryDim } from './rope.ts';

export interface InferenceGraphOptions {
  /** Type of activations, keys and values; rotary tables and LoRA factors must have it too. */
  activations: ActivationType;
  /** Whether the graph has LoRA inputs. */
  lora: boolean;
  /**
   * What is put out of keys and values: with `present` the whole caches, new positions appended (on a device, where that
   * copies nothing to the host); with `new` the new positions alone, which the host appends to its caches (the runtime's
   * binding would copy whole caches at every pass).
   */
  cacheOutputs: 'present' | 'new';
  /** Keep to attention kernels that do not depend on the adapter's subgroups (device.ts tests them). */
  plainAttention: boolean;
}

/**
 * Emits the inference graph of a checkpoint.
 *
 * Inputs: `inputs_embeds` float32 (batch, sequence, hiddenSize); `batch_shape` int64: [batch, sequence, -1];
 * `seqlens_k` int32 (batch): each row's number of keys, new ones included, minus 1; `total_sequence_length` int32: the
 * largest of these numbers, plus 1; `logits_indices` int64: the positions of the sequence whose logits are wanted;
 * `cos_cache`, `sin_cache` (positions, rotaryDim / 2); `past_key.N`, `past_value.N` (batch, keyValueHeads, past,
 * headDim); `lora_a.L.M` (batch, in, rank), `lora_b.L.M` (batch, rank, out), the scaling folded into B; with
 * `cacheOutputs: 'new'` also `positions` int64 (batch, sequence).
 *
 * Outputs: `logits` float32 (batch * indices, vocabSize); `present_key.N`, `present_value.N`, as long as the past's
 * capacity or the total, whichever is larger; or `new_key.N`, `new_value.N` (batch, keyValueHeads, sequence, headDim).
 */
export function emitInferenceGraph(
  config: ModelConfig,
  emitWeights: (graph: Graph) => GraphWeights,
  options: InferenceGraphOptions,
): Graph {
  const graph = new Graph();
  const inputsEmbeds = graph.input('inputs_embeds', 'float32', ['batch', 'sequence', config.hiddenSize]);
  const logitsIndices = graph.input('logits_indices', 'int64', ['indices']);
  const operators = new InferenceOperators(graph, config, emitWeights(graph), options);
  const flat = graph.node('Reshape', [inputsEmbeds, graph.integers(-1, config.hiddenSize)]);
  const hidden = emitDecoder(operators, config, castTo(graph, flat, options.activations));
  const wanted = graph.node('Gather', [operators.unflatten(hidden), logitsIndices], { axis: 1 });
  const rows = graph.node('Reshape', [wanted, graph.integers(-1, config.hiddenSize)]);
  graph.output('logits', castTo(graph, operators.head(rows), 'float32'), ['rows', config.vocabSize]);
  return graph;
}

class InferenceOperators implements DecoderOperators {
  private readonly graph: Graph;
  private readonly config: ModelConfig;
  private readonly weights: GraphWeights;
  private readonly type: ActivationType;
  private readonly loraFactors: ReadonlyMap<string, { a: Value; b: Value }>;
  private readonly seqlensK: Value;
  private readonly totalSequenceLength: Value;
  private readonly cosCache: Value;
  private readonly sinCache: Value;
  private readonly batchShape: Value;
  /** Only where the new keys are put out alone: then they are rotated before the attention. */
  private readonly positions: Value | undefined;
  private readonly attentionSink: Value | undefined;

  constructor(graph: Graph, config: ModelConfig, weights: GraphWeights, options: InferenceGraphOptions) {
    this.graph = graph;
    this.config = config;
    this.weights = weights;
    this.type = options.activations;
    if (options.plainAttention) this.attentionSink = noSink(graph, config.numHeads, this.type);
    const halfDim = rotaryDim(config) / 2;
    this.batchShape = graph.input('batch_shape', 'int64', [3]);
    this.seqlensK = graph.input('seqlens_k', 'int32', ['batch']);
    this.totalSequenceLength = graph.input('total_sequence_length', 'int32', []);
    if (options.cacheOutputs === 'new') {
      this.positions = graph.input('positions', 'int64', ['batch', 'sequence']);
    }
    this.cosCache = graph.input('cos_cache', this.type, ['positions', halfDim]);
    this.sinCache = graph.input('sin_cache', this.type, ['positions', halfDim]);
    this.loraFactors = new Map(
      (options.lora ? loraTargets(config) : []).map(({ key, inFeatures, outFeatures }) => [
        key,
        {
          a: graph.input(`lora_a.${key}`, this.type, ['batch', inFeatures, 'rank']),
          b: graph.input(`lora_b.${key}`, this.type, ['batch', 'rank', outFeatures]),
        },
      ]),
    );
  }

  add(a: Value, b: Value): Value {
    return this.graph.node('Add', [a, b]);
  }

  multiply(a: Value, b: Value): Value {
    return this.graph.node('Mul', [a, b]);
  }

  silu(x: Value): Value {
    return this.graph.node('QuickGelu', [x], { alpha: { float: 1 } }, { domain: microsoftDomain });
  }

  split(x: Value, sizes: readonly number[]): Value[] {
    const types = sizes.map(() => x.type);
    return this.graph.nodeWithOutputs('Split', [x, this.graph.integers(...sizes)], types, { axis: -1 });
  }

  rmsNorm(x: Value, weightName: string): Value {
    const attributes = { axis: -1, epsilon: { float: this.config.rmsNormEps } };
    return this.graph.node('SimplifiedLayerNormalization', [x, this.weights.vector(weightName)], attributes);
  }

  headNorm(x: Value, weightName: string, heads: number): Value {
    const { graph, config } = this;
    const perHead = graph.node('Reshape', [x, graph.integers(-1, config.headDim)]);
    const normed = this.rmsNorm(perHead, weightName);
    return graph.node('Reshape', [normed, graph.integers(-1, heads * config.headDim)]);
  }

  linear(x: Value, name: string, bias: boolean): Value {
    const y = this.weights.linear(x, name, bias);
    const lora = this.loraFactors.get(loraKey(name) ?? '');
    if (!lora) return y;
    const low = this.graph.node('MatMul', [this.unflatten(x), lora.a]); // (batch, sequence, rank)
    const update = this.graph.node('MatMul', [low, lora.b]); // (batch, sequence, out)
    return this.add(y, this.flatten(update));
  }

  attention(layer: number, q: Value, k: Value, v: Value): Value {
    const { graph, config } = this;
    const { numHeads, numKeyValueHeads, headDim } = config;
    const pastDims = ['batch', numKeyValueHeads, 'past', headDim];
    const pastKey = graph.input(`past_key.${layer}`, this.type, pastDims);
    const pastValue = graph.input(`past_value.${layer}`, this.type, pastDims);
    const { positions } = this;
    const query = positions ? this.rotate(q, numHeads, positions) : this.unflatten(q);
    const key = positions ? this.rotate(k, numKeyValueHeads, positions) : this.unflatten(k);
    const value = this.unflatten(v);
    const tables = positions ? [] : [this.cosCache, this.sinCache];
    const sink = this.attentionSink
      ? [...(positions ? [null, null] : []), null, null, this.attentionSink]
      : [];
    const [output, presentKey, presentValue] = graph.nodeWithOutputs(
      'GroupQueryAttention',
      [query, key, value, pastKey, pastValue, this.seqlensK, this.totalSequenceLength, ...tables, ...sink],
      [this.type, this.type, this.type],
      {
        num_heads: numHeads,
        kv_num_heads: numKeyValueHeads,
        do_rotary: positions ? 0 : 1,
        scale: { float: 1 / Math.sqrt(headDim) },
        local_window_size: config.slidingWindows[layer] ?? -1,
        ...(this.attentionSink ? { smooth_softmax: 1 } : {}),
      },
      { domain: microsoftDomain },
    );
    if (positions) {
      const newDims = ['batch', numKeyValueHeads, 'sequence', headDim];
      graph.output(`new_key.${layer}`, this.toHeads(key), newDims);
      graph.output(`new_value.${layer}`, this.toHeads(value), newDims);
    } else {
      const presentDims = ['batch', numKeyValueHeads, 'present', headDim];
      graph.output(`present_key.${layer}`, presentKey!, presentDims);
      graph.output(`present_value.${layer}`, presentValue!, presentDims);
    }
    return this.flatten(output!);
  }

  /** (batch * sequence, heads * headDim), rotated by position, as (batch, sequence, heads * headDim) */
  private rotate(x: Value, heads: number, positions: Value): Value {
    const { graph, config } = this;
    const dim = rotaryDim(config);
    return graph.node(
      'RotaryEmbedding',
      [this.unflatten(x), positions, this.cosCache, this.sinCache],
      // the operator wants no dimension where all of the head is rotated
      dim === config.headDim ? { num_heads: heads } : { num_heads: heads, rotary_embedding_dim: dim },
      { domain: microsoftDomain },
    );
  }

  /** (batch, sequence, keyValueHeads * headDim) to (batch, keyValueHeads, sequence, headDim) */
  private toHeads(x: Value): Value {
    const { graph, config } = this;
    const shape = graph.integers(0, 0, config.numKeyValueHeads, config.headDim);
    return graph.node('Transpose', [graph.node('Reshape', [x, shape])], { perm: [0, 2, 1, 3] });
  }

  /** The language-model head on (rows, hiddenSize): logits (rows, vocabSize). */
  head(hidden: Value): Value {
    return this.weights.linear(hidden, headName(this.config), false);
  }

  /** (batch * sequence, features) to (batch, sequence, features) */
  unflatten(x: Value): Value {
    return this.graph.node('Reshape', [x, this.batchShape]);
  }

  /** (batch, sequence, features) to (batch * sequence, features) */
  private flatten(x: Value): Value {
    return this.graph.node('Flatten', [x], { axis: 2 });
  }
}

/**
 * A logit for "nothing" in the softmax of each head, so low that it takes no share: with it the result is the same, but
 * the WebGPU provider does not choose its fused prefill kernel.
 */
function noSink(graph: Graph, numHeads: number, type: ActivationType): Value {
  const low = type === 'float16' ? -60000 : -1e30;
  const float32 = graph.constant('no_sink', 'float32', [numHeads], new Float32Array(numHeads).fill(low));
  return castTo(graph, float32, type);
}
