/**
 * Builds an ONNX graph in memory, one operator at a time. Weights are not held: an initializer may point into a
 * checkpoint's own file. The list of nodes stays readable, so that gradient.ts can differentiate it.
 */
import {
  encodeModel,
  type AttributeValue,
  type DataType,
  type Dimension,
  type TensorMessage,
} from './proto.ts';

/** A tensor in a graph: an input, an initializer, or what a node puts out. */
export interface Value {
  readonly name: string;
  readonly type: DataType;
}

export interface GraphNode {
  readonly operator: string;
  readonly domain: string;
  /** null: an optional input that is left out. */
  readonly inputs: readonly (Value | null)[];
  readonly outputs: readonly Value[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

/** Bytes in a file; see TensorLocation of the checkpoint. */
export interface ExternalData {
  dtype: 'F32' | 'F16' | 'BF16' | 'U8';
  shape: readonly number[];
  file: string;
  offset: number;
  length: number;
}

export const microsoftDomain = 'com.microsoft';
const opsets = { '': 21, [microsoftDomain]: 1 };
const typeOfStorage = { F32: 'float32', F16: 'float16', BF16: 'bfloat16', U8: 'uint8' } as const;

type ConstantData = Float32Array | BigInt64Array | Int32Array | Uint8Array;

export class Graph {
  readonly nodes: GraphNode[] = [];
  readonly inputs: (Value & { dims: readonly Dimension[] })[] = [];
  readonly outputs: { value: Value; dims: readonly Dimension[] }[] = [];
  private readonly initializers: TensorMessage[] = [];
  private readonly externals: { value: Value; data: ExternalData }[] = [];
  /** Every name in use, with the number last added to it as a hint. */
  private readonly names = new Map<string, number>();

  /** A tensor that is given at every run. */
  input(name: string, type: DataType, dims: readonly Dimension[]): Value {
    const value = { name: this.claim(name), type, dims };
    this.inputs.push(value);
    return value;
  }

  /** A small tensor stored in the graph itself. `name` is a hint: a number is added if it is taken. */
  constant(name: string, type: DataType, dims: readonly number[], data: ConstantData): Value {
    const value = { name: this.fresh(name), type };
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.initializers.push({ ...value, dims, data: bytes });
    return value;
  }

  /** int64 values, one-dimensional: the shapes, axes and indices that many operators take as inputs. */
  integers(...values: number[]): Value {
    return this.constant('integers', 'int64', [values.length], BigInt64Array.from(values.map(BigInt)));
  }

  /** A float32 scalar. */
  scalar(value: number): Value {
    return this.constant('scalar', 'float32', [], Float32Array.of(value));
  }

  /** A tensor whose bytes lie in a file, in the type they are stored in. */
  external(name: string, data: ExternalData): Value {
    const value = { name: this.claim(name), type: typeOfStorage[data.dtype] };
    this.externals.push({ value, data });
    return value;
  }

  /** Adds an operator with one output of the given type (default: the type of its first input). */
  node(
    operator: string,
    inputs: readonly (Value | null)[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    options: { domain?: string; type?: DataType; name?: string } = {},
  ): Value {
    const type = options.type ?? inputs[0]?.type ?? 'float32';
    return this.nodeWithOutputs(operator, inputs, [type], attributes, options)[0]!;
  }

  /** Adds an operator with several outputs, one for each given type. */
  nodeWithOutputs(
    operator: string,
    inputs: readonly (Value | null)[],
    outputTypes: readonly DataType[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    options: { domain?: string; name?: string } = {},
  ): Value[] {
    const outputs = outputTypes.map((type) => ({ name: this.fresh(options.name ?? operator), type }));
    this.nodes.push({ operator, domain: options.domain ?? '', inputs, outputs, attributes });
    return outputs;
  }

  /** Makes a node's value an output of the graph under the given name (the value is renamed, nothing is copied). */
  output(name: string, value: Value, dims: readonly Dimension[]): void {
    (value as { name: string }).name = this.claim(name);
    this.outputs.push({ value, dims });
  }

  /**
   * The model's bytes and the folder that its external data is relative to (undefined without any): pass it to the
   * session as `model_external_initializers_file_folder_path`. The runtime refuses locations outside that folder and
   * symlinks that leave it, so `file` must be a real path; the folder is the deepest that holds all files.
   */
  encode(): { bytes: Uint8Array; externalFolder: string | undefined } {
    const folder = commonFolder(this.externals.map(({ data }) => data.file));
    const externals = this.externals.map(({ value, data }): TensorMessage => {
      const location = data.file.slice(folder.length + 1).replaceAll('\\', '/');
      return { ...value, dims: data.shape, data: { location, offset: data.offset, length: data.length } };
    });
    const graph = {
      nodes: this.nodes.map((node, index) => ({
        ...node,
        name: `${node.operator}_${index}`,
        inputs: node.inputs.map((value) => value?.name ?? ''),
        outputs: node.outputs.map((value) => value.name),
      })),
      initializers: [...this.initializers, ...externals],
      inputs: this.inputs,
      outputs: this.outputs.map(({ value, dims }) => ({ ...value, dims })),
    };
    return {
      bytes: encodeModel(graph, opsets),
      externalFolder: externals.length > 0 ? rootOr(folder) : undefined,
    };
  }

  /** The graph as text, one line a node, for golden files. */
  listing(): string {
    const inputs = this.inputs.map((value) => `input ${value.name}: ${value.type}[${value.dims.join(', ')}]`);
    const weights = this.externals.map(
      ({ value, data }) => `weight ${value.name}: ${value.type}[${data.shape.join(', ')}]`,
    );
    const nodes = this.nodes.map((node) => {
      const attributes = Object.entries(node.attributes).map(
        ([key, value]) => `${key}=${JSON.stringify(value)}`,
      );
      const values = node.inputs.map((value) => value?.name ?? '-');
      return `${node.outputs.map((value) => value.name).join(', ')} = ${node.operator}(${[...values, ...attributes].join(', ')})`;
    });
    return [...inputs, ...weights, ...nodes, ''].join('\n');
  }

  private claim(name: string): string {
    if (this.names.has(name)) throw new Error(`The graph has two values named ${name}.`);
    this.names.set(name, 0);
    return name;
  }

  private fresh(hint: string): string {
    const used = this.names.get(hint);
    if (used === undefined) return this.claim(hint);
    this.names.set(hint, used + 1);
    return this.fresh(`${hint}_${used + 1}`);
  }
}

/** The deepest folder that holds all the files, '' if they share only the root. */
function commonFolder(files: readonly string[]): string {
  const [first, ...rest] = files.map((file) => file.split(/[\\/]/).slice(0, -1));
  if (!first) return '';
  let depth = first.length;
  for (const parts of rest) {
    const differs = parts.findIndex((part, index) => part !== first[index]);
    depth = Math.min(depth, differs === -1 ? parts.length : differs);
  }
  return files[0]!.slice(0, first.slice(0, depth).join('/').length);
}

/** `C:` alone would mean the present folder of that drive. */
function rootOr(folder: string): string {
  if (folder === '') return '/';
  return folder.endsWith(':') ? `${folder}\\` : folder;
}
