/**
 * Tensors in the memory of the WebGPU device: keys and values, and constants put there once. JavaScript cannot write or
 * read such buffers (reading aborts the process), so small graphs do all the work.
 */
import { InferenceSession, Tensor } from '../onnx/runtime.ts';
import type { ModelConfig } from '../checkpoint/types.ts';
import { Graph, type Value } from '../onnx/graph.ts';
import type { ActivationType } from './graphWeights.ts';

/** The first positions of a row of a batch. */
export interface BatchRow {
  /** Per layer keys, then values: (rows, keyValueHeads, capacity, headDim). */
  batch: { tensors: readonly Tensor[] };
  row: number;
  length: number;
}

/** Tensors on the device. Whoever gets one disposes of it. */
export class DeviceTensors {
  readonly elementBytes: number;
  private readonly type: ActivationType;
  /** Helper sessions by what they do. */
  private readonly sessions = new Map<string, Promise<InferenceSession>>();

  /** @param type of keys, values and uploaded tensors */
  constructor(type: ActivationType) {
    this.type = type;
    this.elementBytes = type === 'float16' ? 2 : 4;
  }

  async zeros(dims: readonly number[]): Promise<Tensor> {
    const session = await this.session('zeros', emitZeros);
    return (await session.run({ shape: int64(dims) }))['y'] as Tensor;
  }

  /** New tensors made of rows of batches, in the order given, with room for `capacity` positions. */
  async gather(rows: readonly BatchRow[], capacity: number, config: ModelConfig): Promise<Tensor[]> {
    const parts = byBatch(rows);
    // a tensor of size zero crashes the provider: a part that fills the capacity gets no padding
    const padded = parts.map(({ length }) => length < capacity);
    const session = await this.session(`gather ${padded.join()}`, (type) => emitGather(type, padded, config));
    const feeds: Record<string, Tensor> = {};
    parts.forEach((part, number) => {
      feeds[`rows.${number}`] = int64(part.rows);
      feeds[`length.${number}`] = int64([part.length]);
      if (!padded[number]) return;
      const { numKeyValueHeads, headDim } = config;
      feeds[`padding.${number}`] = int64([
        part.rows.length,
        numKeyValueHeads,
        capacity - part.length,
        headDim,
      ]);
    });
    const tensors: Tensor[] = [];
    for (let index = 0; index < 2 * config.numLayers; index++) {
      parts.forEach(({ batch }, number) => (feeds[`x.${number}`] = batch.tensors[index]!));
      tensors.push((await session.run(feeds))['y'] as Tensor);
    }
    return tensors;
  }

  /** A float32 tensor of the host as one of the device, in the device's type. Its owner disposes of it. */
  async upload(tensor: Tensor): Promise<Tensor> {
    const rank = tensor.dims.length;
    const session = await this.session(`upload ${rank}`, (type) => emitUpload(type, rank));
    return (await session.run({ x: tensor }))['y'] as Tensor;
  }

  async dispose(): Promise<void> {
    for (const session of this.sessions.values()) await (await session).release();
    this.sessions.clear();
  }

  private session(name: string, emit: (type: ActivationType) => Graph): Promise<InferenceSession> {
    let session = this.sessions.get(name);
    if (!session) {
      session = InferenceSession.create(emit(this.type).encode().bytes, {
        executionProviders: ['webgpu'],
        logSeverityLevel: 3,
        // an optimiser would drop an upload as a node that does nothing
        graphOptimizationLevel: 'disabled',
        preferredOutputLocation: 'gpu-buffer',
        extra: { session: { disable_cpu_ep_fallback: '1' } },
      });
      this.sessions.set(name, session);
    }
    return session;
  }
}

interface Part {
  batch: BatchRow['batch'];
  rows: number[];
  /** Positions copied, at least 1: those of the longest row (what is beyond a shorter row's end is never read). */
  length: number;
}

/** Neighbouring rows of one batch together. */
function byBatch(rows: readonly BatchRow[]): Part[] {
  const parts: Part[] = [];
  for (const { batch, row, length } of rows) {
    const last = parts.at(-1);
    if (last?.batch === batch) {
      last.rows.push(row);
      last.length = Math.max(last.length, length);
    } else parts.push({ batch, rows: [row], length: Math.max(1, length) });
  }
  return parts;
}

function int64(values: readonly number[]): Tensor {
  return new Tensor('int64', BigInt64Array.from(values.map(BigInt)), [values.length]);
}

function emitZeros(type: ActivationType): Graph {
  const graph = new Graph();
  const shape = graph.input('shape', 'int64', [4]);
  graph.output('y', graph.node('Expand', [zero(graph, type), shape], {}, { type }), ['a', 'b', 'c', 'd']);
  return graph;
}

/** Rows of each `x.N`, cut to a length, padded with zeros, one below the other. */
function emitGather(
  type: ActivationType,
  padded: readonly boolean[],
  { numKeyValueHeads, headDim }: ModelConfig,
): Graph {
  const graph = new Graph();
  const blank = zero(graph, type);
  const parts = padded.map((isPadded, part) => {
    const x = graph.input(`x.${part}`, type, [`batch${part}`, numKeyValueHeads, `past${part}`, headDim]);
    const rows = graph.input(`rows.${part}`, 'int64', [`rows${part}`]);
    const length = graph.input(`length.${part}`, 'int64', [1]);
    const cut = graph.node('Slice', [x, graph.integers(0), length, graph.integers(2)]);
    const picked = graph.node('Gather', [cut, rows], { axis: 0 });
    if (!isPadded) return picked;
    const padding = graph.input(`padding.${part}`, 'int64', [4]);
    const zeros = graph.node('Expand', [blank, padding], {}, { type });
    return graph.node('Concat', [picked, zeros], { axis: 2 });
  });
  const all = parts.length === 1 ? parts[0]! : graph.node('Concat', parts, { axis: 0 });
  graph.output('y', all, ['rows', numKeyValueHeads, 'capacity', headDim]);
  return graph;
}

function emitUpload(type: ActivationType, rank: number): Graph {
  const graph = new Graph();
  const dims = Array.from({ length: rank }, (_, axis) => `d${axis}`);
  const x = graph.input('x', 'float32', dims);
  const same = graph.node('Mul', [x, graph.scalar(1)]);
  const y = type === 'float32' ? same : graph.node('Cast', [same], { to: 10 }, { type });
  graph.output('y', y, dims);
  return graph;
}

function zero(graph: Graph, type: ActivationType): Value {
  return graph.constant('zero', type, [], type === 'float32' ? Float32Array.of(0) : new Uint8Array(2));
}
