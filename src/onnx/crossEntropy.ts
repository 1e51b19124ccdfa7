import type { Graph, Value } from './graph.ts';

export interface CrossEntropy {
  /** Natural-logarithm loss of each row, before weighting: (rows, 1). */
  losses: Value;
  /** Gradient of the weighted sum of the losses with respect to the logits: (rows, classes). */
  logitsGradient: Value;
}

/**
 * Softmax cross entropy of rows of logits, with its gradient (softmax - one-hot) * weight emitted by hand: through
 * elementary operators it would take several more tensors of this size, the largest of the graph.
 * @param logits (rows, classes)
 * @param targets int64 (rows, 2): row number and class of every row
 * @param weights float32 (rows, 1)
 */
export function emitCrossEntropy(graph: Graph, logits: Value, targets: Value, weights: Value): CrossEntropy {
  const lastAxis = graph.integers(-1);
  const classes = graph.node('Slice', [targets, graph.integers(1), graph.integers(2), graph.integers(1)]);
  const maximum = graph.node('ReduceMax', [logits, lastAxis], { keepdims: 1 });
  const shifted = graph.node('Sub', [logits, maximum]);
  const exponentials = graph.node('Exp', [shifted]);
  const total = graph.node('ReduceSum', [exponentials, lastAxis], { keepdims: 1 });
  const target = graph.node('GatherElements', [shifted, classes], { axis: 1 });
  const losses = graph.node('Sub', [graph.node('Log', [total]), target]);

  const probabilities = graph.node('Div', [exponentials, total]);
  const targetProbability = graph.node('GatherElements', [probabilities, classes], { axis: 1 });
  const lessOne = graph.node('Sub', [targetProbability, graph.scalar(1)]);
  const updates = graph.node('Reshape', [lessOne, graph.integers(-1)]);
  const difference = graph.node('ScatterND', [probabilities, targets, updates]);
  return { losses, logitsGradient: graph.node('Mul', [difference, weights]) };
}
