/**
 * How the inference graph attends, which depends on where keys and values lie. Queries, keys and values come as
 * (tokens, heads * headDim), and so goes the result.
 */
import type { ModelConfig, RopeConfig } from '../checkpoint/types.ts';
import { microsoftDomain, type Graph, type Value } from '../onnx/graph.ts';
import { castTo, type ActivationType } from './graphWeights.ts';
import { biasName } from './keyValueMemory.ts';
import { emitRotaryEmbedding, tableInputs, type TableValues } from './operators.ts';

export interface AttentionEmitter {
  emit(layer: number, q: Value, k: Value, v: Value): Value;
}

/**
 * Keys and values in a list of slots (hostKeyValues.ts): all new positions, of whatever sequences, are one list of
 * queries over all slots, and a mask says who sees whom.
 *
 * Inputs: `cos_cache`, `sin_cache` (tokens, rotaryDim / 2): each new position's rows (`cos_cache.1`, … where layers
 * rotate in several ways); `attention_bias` (tokens, past + tokens), `attention_bias.W` in layers with a window of W: 0
 * where a position sees a slot, else -Infinity; `past_key.N`, `past_value.N` (past, keyValueHeads, headDim). Outputs: `new_key.N`, `new_value.N` (tokens,
 * keyValueHeads, headDim), which the host appends: the runtime's binding would copy whole caches at every pass.
 */
export class SlotAttention implements AttentionEmitter {
  private readonly graph: Graph;
  private readonly config: ModelConfig;
  private readonly tables: ReadonlyMap<RopeConfig | null, TableValues>;
  private readonly biases = new Map<number | null, Value>();
  /** int64 [keyValueHeads, group, tokens, slots] and [keyValueHeads, group * tokens, slots] */
  private readonly scoreShapes: { byHead: Value; byKeyHead: Value };

  constructor(graph: Graph, config: ModelConfig) {
    this.graph = graph;
    this.config = config;
    this.tables = tableInputs(graph, config, 'float32', 'tokens');
    for (const window of new Set(config.slidingWindows)) {
      this.biases.set(window, graph.input(biasName(window), 'float32', ['tokens', 'slots']));
    }
    const { numHeads, numKeyValueHeads } = config;
    const join = (...parts: Value[]): Value => graph.node('Concat', parts, { axis: 0 });
    const [anyBias] = this.biases.values();
    const shape = graph.node('Shape', [anyBias!], {}, { type: 'int64' });
    const slots = graph.node('Slice', [shape, graph.integers(1), graph.integers(2)]);
    this.scoreShapes = {
      byHead: join(graph.integers(numKeyValueHeads, numHeads / numKeyValueHeads), shape),
      byKeyHead: join(graph.integers(numKeyValueHeads, -1), slots),
    };
  }

  emit(layer: number, q: Value, k: Value, v: Value): Value {
    const { graph } = this;
    const { numHeads, numKeyValueHeads, headDim, slidingWindows, scoreScale } = this.config;
    const group = numHeads / numKeyValueHeads;
    const newDims = ['tokens', numKeyValueHeads, headDim];
    const perHead = (x: Value): Value =>
      graph.node('Reshape', [x, graph.integers(-1, numKeyValueHeads, headDim)]);
    const withPast = (kind: string, x: Value): Value => {
      const past = graph.input(`past_${kind}.${layer}`, 'float32', ['past', numKeyValueHeads, headDim]);
      graph.output(`new_${kind}.${layer}`, x, newDims);
      return graph.node('Concat', [past, x], { axis: 0 }); // (slots, keyValueHeads, headDim)
    };
    const keys = withPast('key', perHead(this.rotate(layer, k, numKeyValueHeads)));
    const values = withPast('value', perHead(v));

    // the query heads of one key head, of all tokens, are the rows of one product
    const heads = graph.node('Reshape', [
      this.rotate(layer, q, numHeads),
      graph.integers(-1, numKeyValueHeads, group, headDim),
    ]);
    const byKeyHead = graph.node('Transpose', [heads], { perm: [1, 2, 0, 3] });
    const queries = graph.node('Reshape', [byKeyHead, graph.integers(numKeyValueHeads, -1, headDim)]);
    const scores = this.multiply(queries, keys, { transB: 1, alpha: { float: scoreScale } });

    const bias = this.biases.get(slidingWindows[layer] ?? null)!;
    const masked = graph.node('Add', [graph.node('Reshape', [scores, this.scoreShapes.byHead]), bias]);
    const softmax = graph.node('Softmax', [masked], { axis: -1 });
    const shares = graph.node('Reshape', [softmax, this.scoreShapes.byKeyHead]);

    const attended = this.multiply(shares, values, {}); // (keyValueHeads, group * tokens, headDim)
    const tokens = graph.node('Reshape', [attended, graph.integers(numHeads, -1, headDim)]);
    const byToken = graph.node('Transpose', [tokens], { perm: [1, 0, 2] });
    return graph.node('Reshape', [byToken, graph.integers(-1, numHeads * headDim)]);
  }

  /** For each key head: a (keyValueHeads, m, n) times b (slots, keyValueHeads, headDim), read where it lies. */
  private multiply(a: Value, b: Value, attributes: Record<string, number | { float: number }>): Value {
    return this.graph.node(
      'FusedMatMul',
      [a, b],
      { ...attributes, transBatchB: 1 },
      { domain: microsoftDomain },
    );
  }

  /** (tokens, heads * headDim) to (1, tokens, heads * headDim), rotated: token i by row i of the layer's tables */
  private rotate(layer: number, x: Value, heads: number): Value {
    const { graph, config } = this;
    const rope = config.ropes[layer] ?? null;
    if (!rope) return x;
    const tokens = graph.node('Reshape', [x, graph.integers(1, -1, heads * config.headDim)]);
    return emitRotaryEmbedding(graph, config, rope, tokens, heads, graph.integers(0), this.tables.get(rope)!);
  }
}

/**
 * Keys and values in batches on a device (deviceKeyValues.ts): the runtime's fused attention, rotation included.
 *
 * Inputs: `seqlens_k` int32 (batch): each row's number of keys, new ones included, minus 1; `total_sequence_length`
 * int32: the largest of these numbers, plus 1; `cos_cache`, `sin_cache` (positions, rotaryDim / 2); `past_key.N`,
 * `past_value.N` (batch, keyValueHeads, past, headDim). Outputs: `present_key.N`, `present_value.N`, as long as the
 * past's capacity or the total, whichever is larger.
 */
export class FusedAttention implements AttentionEmitter {
  private readonly graph: Graph;
  private readonly config: ModelConfig;
  private readonly type: ActivationType;
  private readonly batchShape: Value;
  private readonly tables: ReadonlyMap<RopeConfig | null, TableValues>;
  private readonly lengths: Value[];
  private readonly attentionSink: Value | undefined;

  /**
   * @param batchShape int64 [batch, sequence, -1]
   * @param plain keep to kernels that do not depend on the adapter's subgroups (device.ts tests them)
   */
  constructor(graph: Graph, config: ModelConfig, type: ActivationType, batchShape: Value, plain: boolean) {
    this.graph = graph;
    this.config = config;
    this.type = type;
    this.batchShape = batchShape;
    if (plain) this.attentionSink = noSink(graph, config.numHeads, type);
    this.lengths = [
      graph.input('seqlens_k', 'int32', ['batch']),
      graph.input('total_sequence_length', 'int32', []),
    ];
    this.tables = tableInputs(graph, config, type, 'positions');
  }

  emit(layer: number, q: Value, k: Value, v: Value): Value {
    const { graph, type } = this;
    const { numHeads, numKeyValueHeads, headDim, slidingWindows, ropes, scoreScale } = this.config;
    const tables = this.tables.get(ropes[layer] ?? null);
    const dims = (positions: string): (string | number)[] => ['batch', numKeyValueHeads, positions, headDim];
    const past = ['past_key', 'past_value'].map((name) =>
      graph.input(`${name}.${layer}`, type, dims('past')),
    );
    const [query, key, value] = [q, k, v].map((x) => graph.node('Reshape', [x, this.batchShape]));
    const [output, presentKey, presentValue] = graph.nodeWithOutputs(
      'GroupQueryAttention',
      [
        ...[query!, key!, value!],
        ...past,
        ...this.lengths,
        ...(tables ? [tables.cos, tables.sin] : [null, null]),
        ...(this.attentionSink ? [null, null, this.attentionSink] : []),
      ],
      [type, type, type],
      {
        num_heads: numHeads,
        kv_num_heads: numKeyValueHeads,
        do_rotary: tables ? 1 : 0,
        scale: { float: scoreScale },
        local_window_size: slidingWindows[layer] ?? -1,
        ...(this.attentionSink ? { smooth_softmax: 1 } : {}),
      },
      { domain: microsoftDomain },
    );
    graph.output(`present_key.${layer}`, presentKey!, dims('present'));
    graph.output(`present_value.${layer}`, presentValue!, dims('present'));
    return graph.node('Flatten', [output!], { axis: 2 });
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
