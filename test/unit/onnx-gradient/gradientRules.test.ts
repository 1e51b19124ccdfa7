import assert from 'node:assert/strict';
import { InferenceSession, Tensor } from '../../../src/onnx/runtime.ts';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { emitCrossEntropy } from '../../../src/onnx/crossEntropy.ts';
import { emitGradients } from '../../../src/onnx/gradient.ts';
import { gradientRules } from '../../../src/onnx/gradientRules.ts';
import { Graph, microsoftDomain, type Value } from '../../../src/onnx/graph.ts';

interface RuleCase {
  what?: string;
  /** Shapes of the inputs; the gradient is checked with respect to each, or to those in `wanted`. */
  inputs: number[][];
  wanted?: number[];
  /** Shapes of the outputs, or of those that the objective uses. */
  outputs: number[][];
  emit: (graph: Graph, inputs: Value[]) => Value[];
}

const one =
  (operator: string, attributes: Parameters<Graph['node']>[2] = {}, domain = ''): RuleCase['emit'] =>
  (graph, inputs) => [graph.node(operator, inputs, attributes, { domain })];

const split: RuleCase['emit'] = (graph, [x]) =>
  graph.nodeWithOutputs('Split', [x!, graph.integers(2, 3, 1)], Array(3).fill('float32'), { axis: -1 });

const rotary =
  (attributes: { num_heads: number; rotary_embedding_dim?: number }, halfDim: number): RuleCase['emit'] =>
  (graph, [x]) => {
    const angles = Float32Array.from({ length: 8 * halfDim }, (_, i) => 0.7 * i);
    const table = (name: string, values: Float32Array): Value =>
      graph.constant(name, 'float32', [8, halfDim], values);
    const positions = graph.constant('positions', 'int64', [2, 3], BigInt64Array.of(0n, 1n, 2n, 5n, 6n, 7n));
    const tables = [table('cos', angles.map(Math.cos)), table('sin', angles.map(Math.sin))];
    return one('RotaryEmbedding', attributes, microsoftDomain)(graph, [x!, positions, ...tables]);
  };

const cases: Record<string, RuleCase[]> = {
  Add: [
    {
      inputs: [
        [2, 3],
        [2, 3],
      ],
      outputs: [[2, 3]],
      emit: one('Add'),
    },
    {
      what: 'of a value to itself',
      inputs: [[2, 3]],
      outputs: [[2, 3]],
      emit: (graph, [x]) => one('Add')(graph, [x!, x!]),
    },
  ],
  Mul: [
    {
      inputs: [
        [2, 3],
        [2, 3],
      ],
      outputs: [[2, 3]],
      emit: one('Mul'),
    },
    {
      what: 'cubed',
      inputs: [[4]],
      outputs: [[4]],
      emit: (graph, [x]) => one('Mul')(graph, [graph.node('Mul', [x!, x!]), x!]),
    },
    { what: 'by a constant row', inputs: [[2, 3], [3]], wanted: [0], outputs: [[2, 3]], emit: one('Mul') },
  ],
  QuickGelu: [
    { inputs: [[3, 4]], outputs: [[3, 4]], emit: one('QuickGelu', { alpha: { float: 1 } }, microsoftDomain) },
    {
      what: 'alpha 1.7',
      inputs: [[3, 4]],
      outputs: [[3, 4]],
      emit: one('QuickGelu', { alpha: { float: 1.7 } }, microsoftDomain),
    },
  ],
  Gelu: [{ inputs: [[3, 4]], outputs: [[3, 4]], emit: one('Gelu', { approximate: 'tanh' }) }],
  Softmax: [{ inputs: [[2, 3, 5]], outputs: [[2, 3, 5]], emit: one('Softmax', { axis: -1 }) }],
  SimplifiedLayerNormalization: [
    {
      what: 'input and weight',
      inputs: [[5, 4], [4]],
      outputs: [[5, 4]],
      emit: one('SimplifiedLayerNormalization', { axis: -1, epsilon: { float: 1e-2 } }),
    },
    {
      what: 'three axes',
      inputs: [[2, 3, 4], [4]],
      outputs: [[2, 3, 4]],
      emit: one('SimplifiedLayerNormalization', { axis: -1, epsilon: { float: 1e-5 } }),
    },
  ],
  RotaryEmbedding: [
    { inputs: [[2, 3, 8]], outputs: [[2, 3, 8]], emit: rotary({ num_heads: 2 }, 2) },
    {
      what: 'part of the head',
      inputs: [[2, 3, 12]],
      outputs: [[2, 3, 12]],
      emit: rotary({ num_heads: 2, rotary_embedding_dim: 4 }, 2),
    },
  ],
  Gemm: [
    {
      inputs: [
        [3, 4],
        [5, 4],
      ],
      outputs: [[3, 5]],
      emit: one('Gemm', { transB: 1 }),
    },
    { what: 'with bias', inputs: [[3, 4], [5, 4], [5]], outputs: [[3, 5]], emit: one('Gemm', { transB: 1 }) },
  ],
  MatMul: [
    {
      inputs: [
        [2, 2, 3, 4],
        [2, 2, 4, 5],
      ],
      outputs: [[2, 2, 3, 5]],
      emit: one('MatMul'),
    },
    {
      what: 'by a transpose',
      inputs: [
        [2, 3, 4],
        [2, 5, 4],
      ],
      outputs: [[2, 3, 5]],
      emit: (graph, [a, b]) => one('MatMul')(graph, [a!, graph.node('Transpose', [b!], { perm: [0, 2, 1] })]),
    },
  ],
  Reshape: [
    {
      inputs: [[2, 6]],
      outputs: [[3, 4]],
      emit: (graph, [x]) => one('Reshape')(graph, [x!, graph.integers(3, -1)]),
    },
  ],
  Transpose: [{ inputs: [[2, 3, 4]], outputs: [[4, 2, 3]], emit: one('Transpose', { perm: [2, 0, 1] }) }],
  Split: [
    {
      inputs: [[2, 6]],
      outputs: [
        [2, 2],
        [2, 3],
        [2, 1],
      ],
      emit: split,
    },
    {
      what: 'of which one piece is unused',
      inputs: [[2, 6]],
      outputs: [
        [2, 2],
        [2, 1],
      ],
      emit: (graph, inputs) => split(graph, inputs).filter((_, i) => i !== 1),
    },
  ],
  Concat: [
    {
      inputs: [
        [2, 1, 3],
        [2, 2, 3],
        [2, 4, 3],
      ],
      outputs: [[2, 7, 3]],
      emit: one('Concat', { axis: 1 }),
    },
    {
      what: 'with a constant first',
      inputs: [
        [2, 1],
        [2, 3],
      ],
      wanted: [1],
      outputs: [[2, 4]],
      emit: one('Concat', { axis: -1 }),
    },
    {
      what: 'with a constant last',
      inputs: [
        [2, 3],
        [2, 1],
      ],
      wanted: [0],
      outputs: [[2, 4]],
      emit: one('Concat', { axis: -1 }),
    },
    {
      what: 'with a constant first, transposed and multiplied',
      inputs: [
        [2, 2, 3],
        [2, 1, 3],
        [2, 4, 3],
      ],
      wanted: [1, 2],
      outputs: [[2, 4, 3]],
      emit: (graph, [past, keys, queries]) => {
        const all = graph.node('Concat', [past!, keys!], { axis: 1 });
        return [graph.node('MatMul', [queries!, graph.node('Transpose', [all], { perm: [0, 2, 1] })])];
      },
    },
    {
      what: 'with a constant first, multiplied',
      inputs: [
        [2, 2, 5],
        [2, 1, 5],
        [2, 4, 3],
      ],
      wanted: [1, 2],
      outputs: [[2, 4, 5]],
      emit: (graph, [past, values, shares]) => [
        graph.node('MatMul', [shares!, graph.node('Concat', [past!, values!], { axis: 1 })]),
      ],
    },
  ],
  Gather: [
    {
      what: 'rows, one of them twice',
      inputs: [[4, 3]],
      outputs: [[3, 3]],
      emit: (graph, [x]) => one('Gather', { axis: 0 })(graph, [x!, graph.integers(2, 0, 2)]),
    },
  ],
};

describe('gradient rules against finite differences', () => {
  it('every rule has a case', () => {
    assert.deepEqual(Object.keys(cases).sort(), Object.keys(gradientRules).sort());
  });

  for (const [operator, ruleCases] of Object.entries(cases)) {
    for (const ruleCase of ruleCases) {
      it([operator, ruleCase.what].filter(Boolean).join(' '), () => checkCase(ruleCase));
    }
  }

  it('cross entropy', async () => {
    const graph = new Graph();
    const logits = graph.input('logits', 'float32', [3, 5]);
    const targets = graph.constant('targets', 'int64', [3, 2], BigInt64Array.of(0n, 4n, 1n, 0n, 2n, 2n));
    const weights = Float32Array.of(0.5, 1, 2);
    const emitted = emitCrossEntropy(
      graph,
      logits,
      targets,
      graph.constant('weights', 'float32', [3, 1], weights),
    );
    graph.output('losses', emitted.losses, [3, 1]);
    graph.output('gradient', emitted.logitsGradient, [3, 5]);
    const session = await InferenceSession.create(graph.encode().bytes);
    const x = randomTensor([3, 5], 7);
    const weightedLoss = async (values: Float32Array): Promise<number> => {
      const { losses } = await session.run({ logits: new Tensor('float32', values, [3, 5]) });
      return dot(losses!.data as Float32Array, weights);
    };
    const { gradient } = await session.run({ logits: new Tensor('float32', x, [3, 5]) });
    await assertGradient(gradient!.data as Float32Array, x, weightedLoss, 'logits');
    // far logits must neither overflow nor give an infinite loss
    const far = Float32Array.from({ length: 15 }, (_, i) => (i % 5 === 1 ? 500 : -500));
    const { losses } = await session.run({ logits: new Tensor('float32', far, [3, 5]) });
    assert.deepEqual([...(losses!.data as Float32Array)], [1000, 1000, 1000]);
  });
});

describe('gradients of a graph', () => {
  it('only follows paths to wanted values', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [2, 2]);
    const frozen = graph.input('frozen', 'float32', [2, 2]);
    const y = graph.node('Gemm', [x, graph.node('Relu', [frozen])], { transB: 1 });
    const before = graph.nodes.length;
    emitGradients(graph, [{ value: y, gradient: graph.input('dy', 'float32', [2, 2]) }], [x]);
    assert.deepEqual(
      graph.nodes.slice(before).map(({ operator }) => operator),
      ['MatMul'],
    );
  });

  it('computes only the wanted part of a product with a constant part', () => {
    const graph = new Graph();
    const past = graph.input('past', 'float32', [1, 9, 4]);
    const values = graph.input('values', 'float32', [1, 2, 4]);
    const shares = graph.input('shares', 'float32', [1, 3, 11]);
    const y = graph.node('MatMul', [shares, graph.node('Concat', [past, values], { axis: 1 })]);
    const before = graph.nodes.length;
    const dy = graph.input('dy', 'float32', [1, 3, 4]);
    const [gradient] = emitGradients(graph, [{ value: y, gradient: dy }], [values]);
    const product = graph.nodes.at(-1)!;
    assert.equal(product.operator, 'MatMul');
    assert.ok(product.outputs.includes(gradient!));
    assert.equal(graph.nodes.slice(before).filter(({ operator }) => operator === 'MatMul').length, 1);
  });

  it('sums the gradients of a value that is used three times', async () => {
    await checkCase({
      inputs: [[3]],
      outputs: [[3]],
      emit: (graph, [x]) => {
        const square = graph.node('Mul', [x!, x!]);
        return [graph.node('Add', [graph.node('Mul', [square, x!]), square])];
      },
    });
  });

  it('names an operator without a rule, and a value that does not matter', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [2]);
    const y = graph.node('Relu', [x]);
    const dy = graph.scalar(1);
    assert.throws(() => emitGradients(graph, [{ value: y, gradient: dy }], [x]), /Relu has no gradient rule/);
    const other = graph.input('other', 'float32', [2]);
    assert.throws(
      () => emitGradients(graph, [{ value: x, gradient: dy }], [other]),
      /does not depend on other/,
    );
  });
});

/** The objective is the sum of the outputs, each weighted by random numbers. */
async function checkCase({ inputs, wanted, outputs, emit }: RuleCase): Promise<void> {
  const graph = new Graph();
  const values = inputs.map((dims, i) => graph.input(`x${i}`, 'float32', dims));
  const y = emit(graph, values);
  assert.equal(y.length, outputs.length);
  const weights = outputs.map((dims, i) => randomTensor(dims, 100 + i));
  const seeds = y.map((value, i) => ({
    value,
    gradient: graph.constant('weights', 'float32', outputs[i]!, weights[i]!),
  }));
  const checked = wanted ?? [...inputs.keys()];
  const gradients = emitGradients(
    graph,
    seeds,
    checked.map((i) => values[i]!),
  );
  y.forEach((value, i) => graph.output(`y${i}`, graph.node('Identity', [value]), outputs[i]!));
  checked.forEach((i, place) => {
    graph.output(`gradient${i}`, graph.node('Identity', [gradients[place]!]), inputs[i]!);
  });
  const session = await InferenceSession.create(graph.encode().bytes);
  const at = inputs.map((dims, i) => randomTensor(dims, i));
  const run = (data: Float32Array[]): Promise<InferenceSession.ReturnType> =>
    session.run(Object.fromEntries(data.map((x, i) => [`x${i}`, new Tensor('float32', x, inputs[i])])));
  const results = await run(at);
  for (const i of checked) {
    const objective = async (x: Float32Array): Promise<number> => {
      const outcome = await run(at.with(i, x));
      return weights.reduce((sum, w, output) => sum + dot(outcome[`y${output}`]!.data as Float32Array, w), 0);
    };
    const gradient = results[`gradient${i}`]!;
    assert.deepEqual(gradient.dims, inputs[i]);
    await assertGradient(gradient.data as Float32Array, at[i]!, objective, `input ${i}`);
  }
}

/** Central differences, of fourth order so that a step large enough for float32 is precise. */
async function assertGradient(
  gradient: Float32Array,
  x: Float32Array,
  objective: (x: Float32Array) => Promise<number>,
  what: string,
): Promise<void> {
  const step = 2 ** -5;
  for (let i = 0; i < x.length; i++) {
    const at = (offset: number): Promise<number> => objective(x.with(i, x[i]! + offset));
    const near = (await at(step)) - (await at(-step));
    const far = (await at(2 * step)) - (await at(-2 * step));
    const expected = (8 * near - far) / (12 * step);
    const difference = Math.abs(gradient[i]! - expected);
    assert.ok(
      difference < 2e-4 * Math.max(1, Math.abs(expected)),
      `${what}, element ${i}: ${gradient[i]}, expected ${expected}`,
    );
  }
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

/** Values between -1.5 and 1.5. */
function randomTensor(dims: number[], seed: number): Float32Array {
  const generator = xoroshiro128plus(seed);
  const size = dims.reduce((a, b) => a * b, 1);
  return Float32Array.from({ length: size }, () => ((generator.next() >>> 0) / 2 ** 32) * 3 - 1.5);
}
