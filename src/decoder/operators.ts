/** The decoder's operations that inference and training emit alike. */
import type { ModelConfig, RopeConfig } from '../checkpoint/types.ts';
import { microsoftDomain, type Graph, type Value } from '../onnx/graph.ts';
import type { DataType, Dimension } from '../onnx/proto.ts';
import { castTo } from './graphWeights.ts';
import { distinctRopes, rotaryDim, tableNames } from './rope.ts';

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

  scale(x: Value, factor: number): Value {
    if (factor === 1) return x;
    return this.graph.node('Mul', [x, castTo(this.graph, this.graph.scalar(factor), x.type)]);
  }

  activation(x: Value): Value {
    const { graph } = this;
    switch (this.config.activation) {
      case 'silu':
        return graph.node('QuickGelu', [x], { alpha: { float: 1 } }, { domain: microsoftDomain });
      case 'gelu_tanh':
        return graph.node('Gelu', [x], { approximate: 'tanh' });
    }
  }

  split(x: Value, sizes: readonly number[]): Value[] {
    const types = sizes.map(() => x.type);
    return this.graph.nodeWithOutputs('Split', [x, this.graph.integers(...sizes)], types, { axis: -1 });
  }

  /** RMSNorm over the last axis. The weight's offset is added once, when the session folds constants. */
  protected normalize(x: Value, weight: Value): Value {
    const { graph, config } = this;
    const factors = config.normWeightOffset
      ? graph.node('Add', [weight, castTo(graph, graph.scalar(config.normWeightOffset), weight.type)])
      : weight;
    const attributes = { axis: -1, epsilon: { float: config.rmsNormEps } };
    return graph.node('SimplifiedLayerNormalization', [x, factors], attributes);
  }
}

/** A rotation's cosines and sines as values of a graph. */
export interface TableValues {
  cos: Value;
  sin: Value;
}

/** The graph's inputs with the tables of all rotations of a model: (rows, rotaryDim / 2) each. */
export function tableInputs(
  graph: Graph,
  config: ModelConfig,
  type: DataType,
  rows: Dimension,
): Map<RopeConfig | null, TableValues> {
  const inputs = distinctRopes(config).map((rope, index): [RopeConfig, TableValues] => {
    const names = tableNames(index);
    const dims = [rows, rotaryDim(config, rope) / 2];
    return [rope, { cos: graph.input(names.cos, type, dims), sin: graph.input(names.sin, type, dims) }];
  });
  return new Map(inputs);
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
  rope: RopeConfig,
  x: Value,
  heads: number,
  positions: Value,
  tables: TableValues,
): Value {
  const dim = rotaryDim(config, rope);
  return graph.node(
    'RotaryEmbedding',
    [x, positions, tables.cos, tables.sin],
    // the operator wants no dimension where all of the head is rotated
    dim === config.headDim ? { num_heads: heads } : { num_heads: heads, rotary_embedding_dim: dim },
    { domain: microsoftDomain },
  );
}
