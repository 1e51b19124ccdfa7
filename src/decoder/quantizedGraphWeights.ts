/** Block-quantised weights as values of a graph: MatMulNBits on the prepared file. */
import type { BlockEncoding } from '../checkpoint/quantized/blocks.ts';
import type { LinearRecipe } from '../checkpoint/quantized/recipe.ts';
import type { PreparedWeights } from '../checkpoint/quantized/store.ts';
import type { Checkpoint, TensorLocation } from '../checkpoint/types.ts';
import { microsoftDomain, type ExternalData, type Graph, type Value } from '../onnx/graph.ts';
import { CheckpointWeights, externalWeight, type ActivationType, type GraphWeights } from './graphWeights.ts';

/** MatMulNBits' accuracy levels: float activations, or such that are quantised to 8 bits block by block, which the CPU's integer instructions need. */
const floatActivations = 0;
const int8Activations = 4;

export class QuantizedGraphWeights implements GraphWeights {
  private readonly graph: Graph;
  private readonly weights: PreparedWeights;
  private readonly type: ActivationType;
  private readonly linears = new Map<string, LinearRecipe>();
  private readonly values = new Map<string, Value>();
  /** What the joined layers put out for an input, cut into the members' parts. */
  private readonly outputs = new Map<Value, Map<string, Value>>();
  private readonly sums = new Map<Value, Value>();
  /** Layers that the prepared file does not have. */
  private readonly inPlace: CheckpointWeights;

  constructor(graph: Graph, weights: PreparedWeights, checkpoint: Checkpoint, type: ActivationType) {
    this.graph = graph;
    this.inPlace = new CheckpointWeights(graph, checkpoint, type);
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
    const recipe = this.linears.get(name);
    if (!recipe) return this.inPlace.linear(x, name, bias);
    let parts = this.outputs.get(x);
    if (!parts) {
      parts = new Map();
      this.outputs.set(x, parts);
    }
    if (!parts.has(name)) for (const [member, value] of this.emit(x, recipe, bias)) parts.set(member, value);
    return parts.get(name)!;
  }

  private emit(x: Value, linear: LinearRecipe, bias: boolean): [string, Value][] {
    const { graph } = this;
    const { name, members, encoding } = linear;
    const product =
      encoding === 'float32'
        ? graph.node('Gemm', [x, this.vector(`${name}.weight`)], { transB: 1 })
        : this.blockProduct(x, linear, encoding);
    const y = bias ? graph.node('Add', [product, this.vector(`${name}.bias`)]) : product;
    if (members.length === 1) return [[members[0]!.name, y]];
    const sizes = members.map((member) => member.outFeatures);
    const types = members.map(() => y.type);
    const cut = graph.nodeWithOutputs('Split', [y, graph.integers(...sizes)], types, { axis: -1 });
    return members.map((member, index) => [member.name, cut[index]!]);
  }

  private blockProduct(
    x: Value,
    { name, inFeatures, outFeatures }: LinearRecipe,
    encoding: BlockEncoding,
  ): Value {
    const { bits, blockSize, zeroPoints, mins } = encoding;
    const inputs = [x, this.stored(`${name}.weight`), this.vector(`${name}.scales`)];
    if (zeroPoints) inputs.push(this.stored(`${name}.zero_points`));
    const exact = this.weights.precision === 'exact';
    const product = this.graph.node(
      'MatMulNBits',
      inputs,
      {
        K: inFeatures,
        N: outFeatures,
        bits,
        block_size: blockSize,
        accuracy_level: exact ? floatActivations : int8Activations,
      },
      { domain: microsoftDomain },
    );
    if (!mins) return product;
    // a block's minimum is multiplied with the sum of the block's inputs
    const sums = this.blockSums(x, inFeatures, blockSize);
    return this.graph.node('Gemm', [sums, this.vector(`${name}.mins`), product], { transB: 1 });
  }

  /** (tokens, inFeatures) to (tokens, blocks): once for all layers that read the same input. */
  private blockSums(x: Value, inFeatures: number, blockSize: number): Value {
    const { graph } = this;
    let sums = this.sums.get(x);
    if (!sums) {
      const blocks = graph.node('Reshape', [x, graph.integers(-1, inFeatures / blockSize, blockSize)]);
      sums = graph.node('ReduceSum', [blocks, graph.integers(2)], { keepdims: 0 });
      this.sums.set(x, sums);
    }
    return sums;
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
    if (!location) throw new Error(`The prepared weights have no tensor ${name}.`);
    return location;
  }
}
