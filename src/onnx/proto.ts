/**
 * Writes the few ONNX protobuf messages a graph needs, by the field numbers of onnx.proto3 (IR version 10).
 */
import { PbfWriter } from 'pbf';

/** Element types and their numbers in TensorProto.DataType. */
export const dataTypes = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
} as const;
export type DataType = keyof typeof dataTypes;

export type AttributeValue = number | { float: number } | string | readonly number[];

/** A dimension: a size, or the name of a size that is known only at run time. */
export type Dimension = number | string;

export interface NodeMessage {
  name: string;
  operator: string;
  domain: string;
  inputs: readonly string[];
  outputs: readonly string[];
  attributes: Readonly<Record<string, AttributeValue>>;
}

export interface TensorMessage {
  name: string;
  type: DataType;
  dims: readonly number[];
  /** The bytes themselves, or where a file holds them (a path relative to the folder given to the session). */
  data: Uint8Array | { location: string; offset: number; length: number };
}

export interface ValueMessage {
  name: string;
  type: DataType;
  dims: readonly Dimension[];
}

export interface GraphMessage {
  nodes: readonly NodeMessage[];
  initializers: readonly TensorMessage[];
  inputs: readonly ValueMessage[];
  outputs: readonly ValueMessage[];
}

/** The bytes of a ModelProto, as `InferenceSession.create` takes them. */
export function encodeModel(graph: GraphMessage, opsets: Readonly<Record<string, number>>): Uint8Array {
  const pbf = new PbfWriter();
  pbf.writeVarintField(1, 10); // ir_version
  pbf.writeStringField(2, 'spring-rag'); // producer_name
  pbf.writeMessage(7, writeGraph, graph);
  for (const [domain, version] of Object.entries(opsets)) {
    pbf.writeMessage(
      8,
      () => {
        pbf.writeStringField(1, domain);
        pbf.writeVarintField(2, version);
      },
      undefined,
    );
  }
  return pbf.finish();
}

function writeGraph(graph: GraphMessage, pbf: PbfWriter): void {
  for (const node of graph.nodes) pbf.writeMessage(1, writeNode, node);
  pbf.writeStringField(2, 'graph');
  for (const tensor of graph.initializers) pbf.writeMessage(5, writeTensor, tensor);
  for (const value of graph.inputs) pbf.writeMessage(11, writeValue, value);
  for (const value of graph.outputs) pbf.writeMessage(12, writeValue, value);
}

function writeNode(node: NodeMessage, pbf: PbfWriter): void {
  for (const input of node.inputs) pbf.writeStringField(1, input);
  for (const output of node.outputs) pbf.writeStringField(2, output);
  pbf.writeStringField(3, node.name);
  pbf.writeStringField(4, node.operator);
  for (const [name, value] of Object.entries(node.attributes)) {
    pbf.writeMessage(5, writeAttribute, { name, value });
  }
  if (node.domain !== '') pbf.writeStringField(7, node.domain);
}

function writeAttribute({ name, value }: { name: string; value: AttributeValue }, pbf: PbfWriter): void {
  pbf.writeStringField(1, name);
  if (typeof value === 'number') {
    pbf.writeVarintField(3, value);
    pbf.writeVarintField(20, 2); // INT
  } else if (typeof value === 'string') {
    pbf.writeBytesField(4, new TextEncoder().encode(value));
    pbf.writeVarintField(20, 3); // STRING
  } else if ('float' in value) {
    pbf.writeFloatField(2, value.float);
    pbf.writeVarintField(20, 1); // FLOAT
  } else {
    pbf.writePackedVarint(8, [...value]);
    pbf.writeVarintField(20, 7); // INTS
  }
}

function writeTensor(tensor: TensorMessage, pbf: PbfWriter): void {
  if (tensor.dims.length > 0) pbf.writePackedVarint(1, [...tensor.dims]);
  pbf.writeVarintField(2, dataTypes[tensor.type]);
  pbf.writeStringField(8, tensor.name);
  if (tensor.data instanceof Uint8Array) {
    pbf.writeBytesField(9, tensor.data);
    return;
  }
  const { location, offset, length } = tensor.data;
  const entries = { location, offset: String(offset), length: String(length) };
  for (const [key, value] of Object.entries(entries)) {
    pbf.writeMessage(
      13,
      () => {
        pbf.writeStringField(1, key);
        pbf.writeStringField(2, value);
      },
      undefined,
    );
  }
  pbf.writeVarintField(14, 1); // data_location = EXTERNAL
}

function writeValue(value: ValueMessage, pbf: PbfWriter): void {
  pbf.writeStringField(1, value.name);
  const writeDimension = (dimension: Dimension): void => {
    if (typeof dimension === 'number') pbf.writeVarintField(1, dimension);
    else pbf.writeStringField(2, dimension);
  };
  const writeShape = (): void => {
    for (const dimension of value.dims) pbf.writeMessage(1, writeDimension, dimension);
  };
  const writeTensorType = (): void => {
    pbf.writeVarintField(1, dataTypes[value.type]);
    pbf.writeMessage(2, writeShape, undefined);
  };
  pbf.writeMessage(2, () => pbf.writeMessage(1, writeTensorType, undefined), undefined);
}
