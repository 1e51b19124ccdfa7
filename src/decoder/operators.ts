/** The decoder's operations that inference and training emit alike. */
import type { ModelConfig } from '../checkpoint/types.ts';
import { microsoftDomain, type Graph, type Value } from '../onnx/graph.ts';
import { rotaryDim } from './rope.ts';

export class CommonOperators {
  protected readonly graph: Graph;
  protected readonly config: ModelConfig;

  constructor(graph: Graph, config: ModelConfig) {
    this.graph = graph;
    this.config = config;
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

  /** RMSNorm over the last axis. */
  protected normalize(x: Value, weight: Value): Value {
    const attributes = { axis: -1, epsilon: { float: this.config.rmsNormEps } };
    return this.graph.node('SimplifiedLayerNormalization', [x, weight], attributes);
  }
}

/**
 * Rotates heads by position.
 * @param x (batch, sequence, heads * headDim)
 * @param positions int64: rows of the tables, (batch, sequence), or one: that of the sequence's first position
 * @param tables cosines and sines (rows, rotaryDim / 2)
 */
export function emitRotaryEmbedding(
  graph: Graph,
  config: ModelConfig,
  x: Value,
  heads: number,
  positions: Value,
  tables: { cos: Value; sin: Value },
): Value {
  const dim = rotaryDim(config);
  return graph.node(
    'RotaryEmbedding',
    [x, positions, tables.cos, tables.sin],
    // the operator wants no dimension where all of the head is rotated
    dim === config.headDim ? { num_heads: heads } : { num_heads: heads, rotary_embedding_dim: dim },
    { domain: microsoftDomain },
  );
}
