/**
 * The gradient of each operator that training uses. Operators are kept to those that the WebGPU provider has too.
 * In the formulas y is the output, dy the gradient with respect to it.
 */
import type { GradientRule, GradientStep } from './gradientStep.ts';
import { microsoftDomain, type Graph, type Value } from './graph.ts';

/** More than any dimension: the end of a slice that goes to the end. */
const toTheEnd = 2 ** 31 - 1;

/** By operator. Element-wise operators may broadcast only operands whose gradient is not wanted. */
export const gradientRules: Readonly<Record<string, GradientRule>> = {
  Add: ({ outputGradients: [dy], wants }) => [wants(0) ? dy : undefined, wants(1) ? dy : undefined],

  Mul: ({ graph, node, outputGradients: [dy], wants }) => [
    wants(0) ? graph.node('Mul', [dy!, node.inputs[1]!]) : undefined,
    wants(1) ? graph.node('Mul', [dy!, node.inputs[0]!]) : undefined,
  ],

  QuickGelu: quickGelu,
  Gelu: gelu,
  Softmax: softmax,
  SimplifiedLayerNormalization: rmsNorm,
  RotaryEmbedding: rotaryEmbedding,
  Gemm: gemm,
  MatMul: matMul,

  Reshape: ({ graph, node, outputGradients: [dy], reshapeBack }) => [
    graph.node('Reshape', [dy!, reshapeBack(node)]),
  ],

  Transpose: ({ graph, node, outputGradients: [dy] }) => {
    const perm = node.attributes.perm as readonly number[];
    return [graph.node('Transpose', [dy!], { perm: perm.map((_, axis) => perm.indexOf(axis)) })];
  },

  Split: ({ graph, node, outputGradients, shapeOf }) => {
    const pieces = node.outputs.map(
      (output, i) => outputGradients[i] ?? graph.node('Expand', [graph.scalar(0), shapeOf(output)]),
    );
    return [graph.node('Concat', pieces, { axis: node.attributes.axis! })];
  },

  Concat: concat,
  Gather: gather,
};

/** y = x s with s = sigmoid(alpha x); dx = dy s (1 + alpha x (1 - s)). */
function quickGelu({ graph, node, outputGradients: [dy] }: GradientStep): Value[] {
  const x = node.inputs[0]!;
  const { float: alpha } = node.attributes.alpha as { float: number };
  const scaled = alpha === 1 ? x : graph.node('Mul', [x, graph.scalar(alpha)]);
  const sigmoid = graph.node('Sigmoid', [scaled]);
  const complement = graph.node('Sub', [graph.scalar(1), sigmoid]);
  const slope = graph.node('Add', [graph.node('Mul', [scaled, complement]), graph.scalar(1)]);
  return [graph.node('Mul', [graph.node('Mul', [dy!, sigmoid]), slope])];
}

/**
 * y = x (1 + t) / 2 with t = tanh(u), u = c (x + a x³), c = sqrt(2 / pi), a = 0.044715 (arXiv 1606.08415);
 * dx = dy ((1 + t) + x (1 - t²) c (1 + 3 a x²)) / 2.
 */
function gelu({ graph, node, outputGradients: [dy] }: GradientStep): Value[] {
  if (node.attributes.approximate !== 'tanh') {
    throw new Error('The gradient of Gelu is known for its approximation by tanh.');
  }
  const x = node.inputs[0]!;
  const [c, a] = [Math.sqrt(2 / Math.PI), 0.044715];
  const binary = (operator: 'Add' | 'Sub' | 'Mul', left: Value, right: Value | number): Value =>
    graph.node(operator, [left, typeof right === 'number' ? graph.scalar(right) : right]);
  const square = binary('Mul', binary('Mul', x, x), c * a); // c a x²
  const tanh = graph.node('Tanh', [binary('Mul', x, binary('Add', square, c))]);
  const complement = graph.node('Sub', [graph.scalar(1), binary('Mul', tanh, tanh)]);
  const inner = binary('Mul', x, binary('Add', binary('Mul', square, 3), c)); // x du/dx
  const twice = binary('Add', binary('Add', tanh, 1), binary('Mul', complement, inner));
  return [binary('Mul', binary('Mul', dy!, twice), 0.5)];
}

/** dx = y (dy - sum(dy y)) over the last axis. */
function softmax({ graph, node, outputGradients: [dy] }: GradientStep): Value[] {
  if (node.attributes.axis !== -1) throw new Error('The gradient of Softmax is known along the last axis.');
  const y = node.outputs[0]!;
  const sum = reduce(graph, 'ReduceSum', graph.node('Mul', [dy!, y]));
  return [graph.node('Mul', [graph.node('Sub', [dy!, sum]), y])];
}

/**
 * y = x r w with r = 1 / sqrt(mean(x²) + epsilon) over the last axis;
 * dx = r (dy w - x r² mean(dy w x)), dw = the sum of dy x r over all rows.
 */
function rmsNorm({ graph, node, outputGradients: [dy], wants }: GradientStep): (Value | undefined)[] {
  if (node.attributes.axis !== -1) throw new Error('The gradient of RMSNorm is known along the last axis.');
  const [x, weight] = node.inputs as readonly Value[];
  const { float: epsilon } = node.attributes.epsilon as { float: number };
  const meanSquare = reduce(graph, 'ReduceMean', graph.node('Mul', [x!, x!]));
  const root = graph.node('Sqrt', [graph.node('Add', [meanSquare, graph.scalar(epsilon)])]);
  const inverse = graph.node('Reciprocal', [root]);
  const gradients: (Value | undefined)[] = [undefined, undefined];
  if (wants(0)) {
    const weighted = graph.node('Mul', [dy!, weight!]);
    const mean = reduce(graph, 'ReduceMean', graph.node('Mul', [weighted, x!]));
    const share = graph.node('Mul', [mean, graph.node('Mul', [inverse, inverse])]);
    const direct = graph.node('Sub', [weighted, graph.node('Mul', [x!, share])]);
    gradients[0] = graph.node('Mul', [direct, inverse]);
  }
  if (wants(1)) {
    const normed = graph.node('Mul', [x!, inverse]);
    gradients[1] = sumOfRows(graph, graph.node('Mul', [dy!, normed]), weight!);
  }
  return gradients;
}

/** A rotation's transpose is the rotation by the opposite angle. */
function rotaryEmbedding({ graph, node, outputGradients: [dy] }: GradientStep): Value[] {
  const [, positions, cos, sin] = node.inputs as readonly Value[];
  const opposite = graph.node('Neg', [sin!]);
  return [
    graph.node('RotaryEmbedding', [dy!, positions!, cos!, opposite], node.attributes, {
      domain: microsoftDomain,
    }),
  ];
}

/** y = x Wᵀ + b on the checkpoint's (out, in) layout: dx = dy W, dW = dyᵀ x, db = the sum of dy's rows. */
function gemm({ graph, node, outputGradients: [dy], wants }: GradientStep): (Value | undefined)[] {
  if (node.attributes.transB !== 1 || Object.keys(node.attributes).length > 1) {
    throw new Error('The gradient of Gemm is known for transB=1 and no other attribute.');
  }
  const [x, weight, bias] = node.inputs as readonly Value[];
  return [
    wants(0) ? graph.node('MatMul', [dy!, weight!]) : undefined,
    wants(1) ? graph.node('Gemm', [dy!, x!], { transA: 1 }) : undefined,
    wants(2) ? sumOfRows(graph, dy!, bias!) : undefined,
  ];
}

/** y = a b, both of the same rank and batch: da = dy bᵀ, db = aᵀ dy. */
function matMul(step: GradientStep): (Value | undefined)[] {
  const { graph, node, wants } = step;
  const dy = step.outputGradients[0]!;
  const [a, b] = node.inputs as readonly Value[];
  const rank = step.rankOf(a!) ?? step.rankOf(b!);
  if (rank === undefined) throw new Error(`The rank of ${a!.name} is not known, so MatMul has no gradient.`);
  return [
    wants(0) ? graph.node('MatMul', [dy, swapLastAxes(step, b!, rank)]) : undefined,
    wants(1) ? graph.node('MatMul', [swapLastAxes(step, a!, rank), dy]) : undefined,
  ];
}

/** Each input's part of dy. The last part needs no end, so only the sizes of the inputs before it are asked for. */
function concat(step: GradientStep): (Value | undefined)[] {
  const {
    graph,
    node,
    outputGradients: [dy],
    wants,
  } = step;
  const axis = node.attributes.axis as number;
  const sizeOf = (value: Value): Value => {
    const range: Record<string, number> = axis === -1 ? { start: axis } : { start: axis, end: axis + 1 };
    return graph.node('Shape', [value], range, { type: 'int64' });
  };
  const last = node.inputs.length - 1;
  let start = graph.integers(0);
  return node.inputs.map((value, input) => {
    const rest = node.inputs.some((_, later) => later >= input && wants(later));
    if (!rest) return undefined;
    const end = input === last ? graph.integers(toTheEnd) : graph.node('Add', [start, sizeOf(value!)]);
    const piece = wants(input) ? sliceOf(step, dy!, { start, end, axis }) : undefined;
    start = end;
    return piece;
  });
}

/**
 * A part of a value along an axis. Of a product only the part that is asked for is computed: with passages before a
 * sequence, most of the gradient of all keys would be thrown away.
 */
function sliceOf(step: GradientStep, value: Value, range: { start: Value; end: Value; axis: number }): Value {
  const { graph } = step;
  const { start, end, axis } = range;
  const producer = step.producerOf(value);
  if (axis >= 0 && producer?.operator === 'Transpose') {
    const perm = producer.attributes.perm as readonly number[];
    const part = sliceOf(step, producer.inputs[0]!, { ...range, axis: perm[axis]! });
    return graph.node('Transpose', [part], producer.attributes);
  }
  const rank = producer?.operator === 'MatMul' ? step.rankOf(value) : undefined;
  if (producer && rank !== undefined && axis >= rank - 2) {
    const [a, b] = producer.inputs as readonly Value[];
    return axis === rank - 1
      ? graph.node('MatMul', [a!, sliceOf(step, b!, range)])
      : graph.node('MatMul', [sliceOf(step, a!, range), b!]);
  }
  return graph.node('Slice', [value, start, end, graph.integers(axis)]);
}

/** Rows of the first axis: each row of dy is added where its row of y came from. */
function gather({ graph, node, outputGradients: [dy], shapeOf }: GradientStep): Value[] {
  if ((node.attributes.axis ?? 0) !== 0) throw new Error('The gradient of Gather is known along axis 0.');
  const [data, indices] = node.inputs as readonly Value[];
  const zeros = graph.node('Expand', [graph.scalar(0), shapeOf(data!)]);
  const coordinates = graph.node('Unsqueeze', [indices!, graph.integers(-1)]);
  return [graph.node('ScatterND', [zeros, coordinates, dy!], { reduction: 'add' })];
}

/** Over the last axis, which stays with size 1. */
function reduce(graph: Graph, operator: 'ReduceSum' | 'ReduceMean', value: Value): Value {
  return graph.node(operator, [value, graph.integers(-1)], { keepdims: 1 });
}

/** The sum over all but the last axis, in the shape of a bias or norm weight. */
function sumOfRows(graph: Graph, value: Value, weight: Value): Value {
  const size = graph.node('Shape', [weight], {}, { type: 'int64' });
  const rows = graph.node('Reshape', [value, graph.node('Concat', [graph.integers(-1), size], { axis: 0 })]);
  return graph.node('ReduceSum', [rows, graph.integers(0)], { keepdims: 0 });
}

/** Transposes matrices of a batch; a value that is such a transpose already gives its source. */
function swapLastAxes({ graph, producerOf }: GradientStep, value: Value, rank: number): Value {
  const perm = Array.from({ length: rank }, (_, axis) => axis);
  [perm[rank - 2], perm[rank - 1]] = [rank - 1, rank - 2];
  const producer = producerOf(value);
  if (producer?.operator === 'Transpose') {
    const known = producer.attributes.perm as readonly number[];
    if (known.join() === perm.join()) return producer.inputs[0]!;
  }
  return graph.node('Transpose', [value], { perm });
}
