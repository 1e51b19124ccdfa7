/**
 * Reverse-mode differentiation of an emitted graph: appends the nodes that compute gradients. Every operator's own
 * rule is in gradientRules.ts.
 */
import type { Graph, GraphNode, Value } from './graph.ts';
import { gradientRules } from './gradientRules.ts';
import type { GradientStep } from './gradientStep.ts';

/**
 * Appends the nodes that compute d objective / d value for each wanted value. Only paths from a wanted value to a seed
 * are followed, so frozen weights cost nothing.
 *
 * @param seeds values with the objective's gradient with respect to them, of the same shape; for a scalar loss, 1
 * @param wanted inputs, initializers or intermediate values of type float32
 * @param reshapesBack by the output of a Reshape, the shape operand that undoes it. Without it the input's shape is
 *   asked for, which keeps the input in memory until then.
 * @returns the gradients, in the order of `wanted`
 * @throws Error if an operator on the way has no rule, or a wanted value does not reach any seed
 */
export function emitGradients(
  graph: Graph,
  seeds: readonly { value: Value; gradient: Value }[],
  wanted: readonly Value[],
  reshapesBack: ReadonlyMap<Value, Value> = new Map(),
): Value[] {
  const nodes = [...graph.nodes];
  const dependent = dependentValues(nodes, wanted);
  const shapes = new Map<Value, Value>();
  const parts = new Map<Value, Value[]>();
  const addPart = (value: Value, gradient: Value): void => {
    const list = parts.get(value);
    if (list) list.push(gradient);
    else parts.set(value, [gradient]);
  };
  /** The sum of all that has come in: called when every later node has been visited. */
  const gradientOf = (value: Value): Value | undefined => {
    const list = parts.get(value);
    if (!list || list.length === 1) return list?.[0];
    const sum = graph.node(list.length === 2 ? 'Add' : 'Sum', list);
    parts.set(value, [sum]);
    return sum;
  };
  const shapeOf = (value: Value): Value => {
    let shape = shapes.get(value);
    if (!shape) {
      shape = graph.node('Shape', [value], {}, { type: 'int64' });
      shapes.set(value, shape);
    }
    return shape;
  };

  const producers = new Map<Value, GraphNode>();
  let indexed = 0;
  /** Also of values that were emitted here. */
  const producerOf = (value: Value): GraphNode | undefined => {
    for (; indexed < graph.nodes.length; indexed++) {
      const node = graph.nodes[indexed]!;
      for (const output of node.outputs) producers.set(output, node);
    }
    return producers.get(value);
  };

  for (const { value, gradient } of seeds) addPart(value, gradient);
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((value) => parts.has(value)) || !node.inputs.some(isDependent)) continue;
    const rule = gradientRules[node.operator];
    if (!rule) throw new Error(`The operator ${node.operator} has no gradient rule.`);
    const inputGradients = rule({
      graph,
      node,
      outputGradients: node.outputs.map(gradientOf),
      wants: (input) => isDependent(node.inputs[input]),
      shapeOf,
      reshapeBack: ({ inputs, outputs }) => reshapesBack.get(outputs[0]!) ?? shapeOf(inputs[0]!),
      rankOf: (value) => rankOf(graph, producerOf, value),
      producerOf,
    });
    node.inputs.forEach((value, input) => {
      const gradient = inputGradients[input];
      if (value && gradient && dependent.has(value)) addPart(value, gradient);
    });
  }
  const gradients = wanted.map((value) => {
    const gradient = gradientOf(value);
    if (!gradient) throw new Error(`The objective does not depend on ${value.name}.`);
    return gradient;
  });
  removeUnused(graph, nodes.length, gradients);
  return gradients;

  function isDependent(value: Value | null | undefined): boolean {
    return value !== null && value !== undefined && dependent.has(value);
  }
}

/** The wanted values and every float value computed from them. */
function dependentValues(nodes: readonly GraphNode[], wanted: readonly Value[]): Set<Value> {
  const dependent = new Set(wanted);
  for (const node of nodes) {
    if (!node.inputs.some((value) => value && dependent.has(value))) continue;
    for (const value of node.outputs) if (value.type === 'float32') dependent.add(value);
  }
  return dependent;
}

/** Removes the nodes from `start` on that no later node uses: the runtime would run them. */
function removeUnused(graph: Graph, start: number, results: readonly Value[]): void {
  const used = new Set<Value | null>(results);
  const kept = graph.nodes
    .splice(start)
    .toReversed()
    .filter((node) => {
      if (!node.outputs.some((value) => used.has(value))) return false;
      for (const value of node.inputs) used.add(value);
      return true;
    });
  graph.nodes.push(...kept.toReversed());
}

/** Operators that put out the rank of their first input. */
const rankKeeping = new Set(['Add', 'Mul', 'Softmax', 'Concat', 'MatMul', 'Identity', 'RotaryEmbedding']);

function rankOf(graph: Graph, producerOf: GradientStep['producerOf'], value: Value): number | undefined {
  const input = graph.inputs.find((candidate) => candidate === value);
  if (input) return input.dims.length;
  const node = producerOf(value);
  if (!node) return undefined;
  if (node.operator === 'Transpose') return (node.attributes.perm as readonly number[]).length;
  if (!rankKeeping.has(node.operator)) return undefined;
  return (
    rankOf(graph, producerOf, node.inputs[0]!) ??
    (node.operator === 'MatMul' ? rankOf(graph, producerOf, node.inputs[1]!) : undefined)
  );
}
