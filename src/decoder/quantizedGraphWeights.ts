/** Block-quantised weights as values of a graph: MatMulNBits on the quantised file. */
import { blockSize } from '../checkpoint/quantized/blocks.ts';
import type { LinearRecipe } from '../checkpoint/quantized/recipe.ts';
import type { QuantizedWeights } from '../checkpoint/quantized/store.ts';
import type { TensorLocation } from '../checkpoint/types.ts';
import { microsoftDomain, type ExternalData, type Graph, type Value } from '../onnx/graph.ts';
import { externalWeight, type ActivationType, type GraphWeights } from './graphWeights.ts';

/** Activations are quantised to 8 bits block by block, which the CPU's integer instructions need. */
const int8Activations = 4;

export class QuantizedGraphWeights implements GraphWeights {
  private readonly graph: Graph;
  private readonly weights: QuantizedWeights;
  private readonly type: ActivationType;
  private readonly linears = new Map<string, LinearRecipe>();
  private readonly values = new Map<string, Value>();
  /** What the joined layers put out for an input, cut into the members' parts. */
  private readonly outputs = new Map<Value, Map<string, Value>>();

  constructor(graph: Graph, weights: QuantizedWeights, type: ActivationType) {
    this.graph = graph;
    this.weights = weights;
    this.type = type;
    for (const linear of weights.linears) {
      for (const { name } of linear.members) this.linears.set(name, linear);
    }
  }

  vector(name: string): Value {
    let value = this.values.get(name);
    if (!value) {
      value = externalWeight(this.graph, this.location(name), this.type);
      this.values.set(name, value);
    }
    return value;
  }

  linear(x: Value, name: string, bias: boolean): Value {
    let parts = this.outputs.get(x);
    if (!parts) {
      parts = new Map();
      this.outputs.set(x, parts);
    }
    if (!parts.has(name))
      for (const [member, value] of this.emit(x, this.recipe(name), bias)) parts.set(member, value);
    return parts.get(name)!;
  }

  private emit(x: Value, linear: LinearRecipe, bias: boolean): [string, Value][] {
    const { graph } = this;
    const { name, members, inFeatures, outFeatures, bits, asymmetric } = linear;
    const scales = this.vector(`${name}.scales`);
    const inputs = [x, this.stored(`${name}.weight`), scales];
    if (asymmetric) inputs.push(this.stored(`${name}.zero_points`));
    const product = graph.node(
      'MatMulNBits',
      inputs,
      { K: inFeatures, N: outFeatures, bits, block_size: blockSize, accuracy_level: int8Activations },
      { domain: microsoftDomain },
    );
    const y = bias ? graph.node('Add', [product, this.vector(`${name}.bias`)]) : product;
    if (members.length === 1) return [[members[0]!.name, y]];
    const sizes = members.map((member) => member.outFeatures);
    const types = members.map(() => y.type);
    const cut = graph.nodeWithOutputs('Split', [y, graph.integers(...sizes)], types, { axis: -1 });
    return members.map((member, index) => [member.name, cut[index]!]);
  }

  private recipe(name: string): LinearRecipe {
    const linear = this.linears.get(name);
    if (!linear) throw new Error(`The quantised weights have no layer ${name}.`);
    return linear;
  }

  private stored(name: string): Value {
    let value = this.values.get(name);
    if (!value) {
      value = this.graph.external(name, this.location(name) as ExternalData);
      this.values.set(name, value);
    }
    return value;
  }

  private location(name: string): TensorLocation {
    const location = this.weights.tensors.get(name);
    if (!location) throw new Error(`The quantised weights have no tensor ${name}.`);
    return location;
  }
}
