/** What a rule of differentiation is given and what it gives back. */
import type { Graph, GraphNode, Value } from './graph.ts';

/** What a rule is given: a node, and the gradients of the objective with respect to what it puts out. */
export interface GradientStep {
  readonly graph: Graph;
  readonly node: GraphNode;
  /** Per output; undefined where the objective does not depend on it. At least one is there. */
  readonly outputGradients: readonly (Value | undefined)[];
  /** Whether the gradient with respect to this input is asked for: emit no nodes for others. */
  readonly wants: (input: number) => boolean;
  /** The shape of a value as int64. */
  readonly shapeOf: (value: Value) => Value;
  /** The shape operand with which a Reshape of the output's gradient gives the input's. */
  readonly reshapeBack: (node: GraphNode) => Value;
  /** How many dimensions a value has, undefined if that cannot be told. */
  readonly rankOf: (value: Value) => number | undefined;
  /** The node that puts a value out, undefined for inputs and initializers. */
  readonly producerOf: (value: Value) => GraphNode | undefined;
}

/** Emits the gradient with respect to each input, undefined for those that are not wanted. */
export type GradientRule = (step: GradientStep) => (Value | undefined)[];
