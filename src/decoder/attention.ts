/**
 * How the inference graph attends, which depends on where keys and values lie. Queries, keys and values come as
 * (tokens, heads * headDim), and so goes the result.
 */
import type { ModelConfig, RopeConfig } from '../checkpoint/types.ts';
import { microsoftDomain, type Graph, type Value } from '../onnx/graph.ts';
import { castTo, type ActivationType } from './graphWeights.ts';
import { tableInputs, type TableValues } from './operators.ts';

export interface AttentionEmitter {
  emit(layer: number, q: Value, k: Value, v: Value): Value;
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
