/** The decoder's operations that inference and training emit alike. */
import type { ModelConfig } from '../checkpoint/types.ts';
import { microsoftDomain, type Graph, type Value } from '../onnx/graph.ts';

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
