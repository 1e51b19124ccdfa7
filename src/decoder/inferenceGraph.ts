/**
 * The graph that answers: fused operators over the checkpoint's own files, with `inputs_embeds` in and a cache of
 * keys and values beside it. Virtual tokens are rows of `inputs_embeds`; LoRA factors are inputs, so neither needs a
 * reload. Rank 0 leaves the model as it is.
 */
import type { Checkpoint, ModelConfig, TensorLocation } from '../checkpoint/types.ts';
import { Graph, microsoftDomain, type ExternalData, type Value } from '../onnx/graph.ts';
import { emitDecoder, loraKey, loraTargets, type DecoderOperators } from './architecture.ts';
import { rotaryDim } from './rope.ts';

/**
 * Emits the inference graph of a checkpoint.
 *
 * Inputs: `inputs_embeds` (batch, sequence, hiddenSize); `seqlens_k` int32 (batch): each row's number of keys, new
 * ones included, minus 1; `total_sequence_length` int32: the largest of these numbers, plus 1; `logits_indices` int64:
 * the positions of the sequence whose logits are wanted; `cos_cache`, `sin_cache` (positions, rotaryDim / 2);
 * `past_key.N`, `past_value.N` (batch, keyValueHeads, past, headDim); `lora_a.L.M` (batch, in, rank), `lora_b.L.M`
 * (batch, rank, out), the scaling folded into B.
 *
 * Outputs: `logits` (batch * indices, vocabSize); `present_key.N`, `present_value.N`, as long as the past's capacity
 * or the total, whichever is larger.
 */
export function emitInferenceGraph(checkpoint: Checkpoint): Graph {
  const { config } = checkpoint;
  const graph = new Graph();
  const inputsEmbeds = graph.input('inputs_embeds', 'float32', ['batch', 'sequence', config.hiddenSize]);
  const logitsIndices = graph.input('logits_indices', 'int64', ['indices']);
  const operators = new InferenceOperators(graph, checkpoint, inputsEmbeds);
  const flat = graph.node('Reshape', [inputsEmbeds, graph.integers(-1, config.hiddenSize)]);
  const hidden = emitDecoder(operators, config, flat); // (batch * sequence, hiddenSize)
  const wanted = graph.node('Gather', [operators.unflatten(hidden), logitsIndices], { axis: 1 });
  const rows = graph.node('Reshape', [wanted, graph.integers(-1, config.hiddenSize)]);
  graph.output('logits', operators.head(rows), ['rows', config.vocabSize]);
  return graph;
}

class InferenceOperators implements DecoderOperators {
  private readonly graph: Graph;
  private readonly config: ModelConfig;
  private readonly checkpoint: Checkpoint;
  private readonly weights = new Map<string, Value>();
  private readonly loraFactors: ReadonlyMap<string, { a: Value; b: Value }>;
  private readonly seqlensK: Value;
  private readonly totalSequenceLength: Value;
  private readonly cosCache: Value;
  private readonly sinCache: Value;
  /** int64 [batch, sequence, -1] */
  private readonly batchShape: Value;

  constructor(graph: Graph, checkpoint: Checkpoint, inputsEmbeds: Value) {
    this.graph = graph;
    this.checkpoint = checkpoint;
    this.config = checkpoint.config;
    const halfDim = rotaryDim(this.config) / 2;
    this.seqlensK = graph.input('seqlens_k', 'int32', ['batch']);
    this.totalSequenceLength = graph.input('total_sequence_length', 'int32', []);
    this.cosCache = graph.input('cos_cache', 'float32', ['positions', halfDim]);
    this.sinCache = graph.input('sin_cache', 'float32', ['positions', halfDim]);
    const leading = graph.node('Shape', [inputsEmbeds], { end: 2 }, { type: 'int64' });
    this.batchShape = graph.node('Concat', [leading, graph.integers(-1)], { axis: 0 });
    this.loraFactors = new Map(
      loraTargets(this.config).map(({ key, inFeatures, outFeatures }) => [
        key,
        {
          a: graph.input(`lora_a.${key}`, 'float32', ['batch', inFeatures, 'rank']),
          b: graph.input(`lora_b.${key}`, 'float32', ['batch', 'rank', outFeatures]),
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
    return this.graph.node('SimplifiedLayerNormalization', [x, this.weight(weightName)], attributes);
  }

  headNorm(x: Value, weightName: string, heads: number): Value {
    const { graph, config } = this;
    const perHead = graph.node('Reshape', [x, graph.integers(-1, config.headDim)]);
    const normed = this.rmsNorm(perHead, weightName);
    return graph.node('Reshape', [normed, graph.integers(-1, heads * config.headDim)]);
  }

  linear(x: Value, name: string, bias: boolean): Value {
    const inputs = [x, this.weight(`${name}.weight`), ...(bias ? [this.weight(`${name}.bias`)] : [])];
    const y = this.graph.node('Gemm', inputs, { transB: 1 });
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
    const presentDims = ['batch', numKeyValueHeads, 'present', headDim];
    const pastKey = graph.input(`past_key.${layer}`, 'float32', pastDims);
    const pastValue = graph.input(`past_value.${layer}`, 'float32', pastDims);
    const [output, presentKey, presentValue] = graph.nodeWithOutputs(
      'GroupQueryAttention',
      [
        ...[q, k, v].map((value) => this.unflatten(value)),
        ...[pastKey, pastValue, this.seqlensK, this.totalSequenceLength, this.cosCache, this.sinCache],
      ],
      ['float32', 'float32', 'float32'],
      {
        num_heads: numHeads,
        kv_num_heads: numKeyValueHeads,
        do_rotary: 1,
        scale: { float: 1 / Math.sqrt(headDim) },
        local_window_size: config.slidingWindows[layer] ?? -1,
      },
      { domain: microsoftDomain },
    );
    graph.output(`present_key.${layer}`, presentKey!, presentDims);
    graph.output(`present_value.${layer}`, presentValue!, presentDims);
    return this.flatten(output!);
  }

  /** The language-model head on (rows, hiddenSize): logits (rows, vocabSize). */
  head(hidden: Value): Value {
    const name = this.config.tieWordEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight';
    return this.graph.node('Gemm', [hidden, this.weight(name)], { transB: 1 });
  }

  /** (batch * sequence, features) to (batch, sequence, features) */
  unflatten(x: Value): Value {
    return this.graph.node('Reshape', [x, this.batchShape]);
  }

  /** (batch, sequence, features) to (batch * sequence, features) */
  private flatten(x: Value): Value {
    return this.graph.node('Flatten', [x], { axis: 2 });
  }

  private weight(name: string): Value {
    let value = this.weights.get(name);
    if (!value) {
      const location = this.checkpoint.tensors.get(name);
      if (!location) throw new Error(`The checkpoint has no tensor ${name}.`);
      value = externalWeight(this.graph, location);
      this.weights.set(name, value);
    }
    return value;
  }
}

/** A checkpoint's tensor as a float32 value: half precision is widened once, when the session folds constants. */
export function externalWeight(graph: Graph, location: TensorLocation): Value {
  const stored = graph.external(location.name, location as ExternalData);
  if (stored.type === 'float32') return stored;
  return graph.node('Cast', [stored], { to: 1 }, { type: 'float32', name: `${location.name}/float32` });
}
