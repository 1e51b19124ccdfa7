/**
 * A model's weights as values of a graph: as the checkpoint stores them, in its own files.
 */
import type { Checkpoint, TensorLocation } from '../checkpoint/types.ts';
import { microsoftDomain, type ExternalData, type Graph, type Value } from '../onnx/graph.ts';
import { dataTypes, type DataType } from '../onnx/proto.ts';

/** Type of activations, keys and values. */
export type ActivationType = 'float32' | 'float16';

/** The weights of one graph. */
export interface GraphWeights {
  /** A norm's weight, in the type of the activations. */
  vector(name: string): Value;
  /** x Wᵀ + b with the linear layer of this name: x is (tokens, in). */
  linear(x: Value, name: string, bias: boolean): Value;
}

/** Weights as they lie in the checkpoint, converted once at load where their type is not that of the activations. */
export class CheckpointWeights implements GraphWeights {
  private readonly graph: Graph;
  private readonly checkpoint: Checkpoint;
  private readonly type: ActivationType;
  private readonly unpackedFrom: number;
  private readonly values = new Map<string, Value>();

  /**
   * @param unpackedFrom linear layers of so many outputs are used where they lie; those of fewer the runtime packs for
   *   its kernels. Default: all are packed
   */
  constructor(graph: Graph, checkpoint: Checkpoint, type: ActivationType, unpackedFrom = Infinity) {
    this.graph = graph;
    this.checkpoint = checkpoint;
    this.type = type;
    this.unpackedFrom = unpackedFrom;
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
    const outFeatures = this.location(`${name}.weight`).shape[0]!;
    if (outFeatures >= this.unpackedFrom) return this.unpackedLinear(x, name, outFeatures, bias);
    const inputs = [x, this.vector(`${name}.weight`), ...(bias ? [this.vector(`${name}.bias`)] : [])];
    return this.graph.node('Gemm', inputs, { transB: 1 });
  }

  /** The runtime packs weights of two dimensions only. */
  private unpackedLinear(x: Value, name: string, outFeatures: number, bias: boolean): Value {
    const { graph } = this;
    const location = this.location(`${name}.weight`);
    let weight = this.values.get(location.name);
    if (!weight) {
      const shape = [1, ...location.shape];
      weight =
        location.interleavedHeadDim === undefined
          ? externalWeight(graph, { ...location, shape }, this.type)
          : graph.node('Reshape', [externalWeight(graph, location, this.type), graph.integers(...shape)]);
      this.values.set(location.name, weight);
    }
    const product = graph.node('FusedMatMul', [x, weight], { transB: 1 }, { domain: microsoftDomain });
    const y = graph.node('Reshape', [product, graph.integers(-1, outFeatures)]);
    return bias ? graph.node('Add', [y, this.vector(`${name}.bias`)]) : y;
  }

  private location(name: string): TensorLocation {
    const location = this.checkpoint.tensors.get(name);
    if (!location) throw new Error(`The checkpoint has no tensor ${name}.`);
    return location;
  }
}

/**
 * A stored tensor as a value of this type, its rows in the model's order: it is converted once, when the session folds
 * constants.
 */
export function externalWeight(
  graph: Graph,
  location: TensorLocation,
  type: ActivationType = 'float32',
): Value {
  const stored = graph.external(location.name, location as ExternalData);
  const value = castTo(graph, stored, type, `${location.name}/${type}`);
  return location.interleavedHeadDim === undefined
    ? value
    : emitHalves(graph, value, location.shape, location.interleavedHeadDim);
}

/**
 * Puts the rows of each head, which alternate between the two halves of the rotation, back into halves: see
 * TensorLocation.
 * @param shape (out, in), or (out) of a bias
 */
function emitHalves(graph: Graph, value: Value, shape: readonly number[], headDim: number): Value {
  const rest = shape.slice(1);
  const pairs = graph.node('Reshape', [value, graph.integers(-1, headDim / 2, 2, ...rest)]);
  const halves = graph.node('Transpose', [pairs], { perm: [0, 2, 1, 3].slice(0, 3 + rest.length) });
  return graph.node('Reshape', [halves, graph.integers(...shape)]);
}

/** The value in another type; itself if it has it. */
export function castTo(graph: Graph, value: Value, type: DataType, name?: string): Value {
  if (value.type === type) return value;
  return graph.node('Cast', [value], { to: dataTypes[type] }, { type, ...(name ? { name } : {}) });
}
