/**
 * Memory of the WebGPU device: caches of keys and values that never leave it, and constants put there once. JavaScript
 * cannot write or read such buffers (reading aborts the process), so small graphs do all the work.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { ModelConfig } from '../checkpoint/types.ts';
import { Graph, type Value } from '../onnx/graph.ts';
import type { CacheMemory, CacheRow, KeyValueCache } from './keyValueCache.ts';

export type ActivationType = 'float32' | 'float16';

/** Tensors on the device. */
export class DeviceMemory implements CacheMemory {
  readonly elementBytes: number;
  private readonly config: ModelConfig;
  private readonly type: ActivationType;
  /** Helper sessions by what they do. */
  private readonly sessions = new Map<string, Promise<InferenceSession>>();

  /** @param type of keys, values and uploaded tensors */
  constructor(config: ModelConfig, type: ActivationType) {
    this.config = config;
    this.type = type;
    this.elementBytes = type === 'float16' ? 2 : 4;
  }

  async allocate(rows: number, capacity: number): Promise<KeyValueCache> {
    const session = await this.session('zeros', emitZeros);
    const dims = [rows, this.config.numKeyValueHeads, capacity, this.config.headDim];
    const feeds = { shape: new Tensor('int64', BigInt64Array.from(dims.map(BigInt)), [4]) };
    const tensors: Tensor[] = [];
    for (let index = 0; index < 2 * this.config.numLayers; index++) {
      tensors.push((await session.run(feeds))['y'] as Tensor);
    }
    return { rows, capacity, lengths: new Array<number>(rows).fill(0), tensors, owners: 1 };
  }

  async gather(sources: readonly CacheRow[], capacity: number): Promise<KeyValueCache> {
    const parts = byCache(sources);
    // a tensor of size zero crashes the provider: a part that fills the capacity gets no padding
    const padded = parts.map(({ length }) => length < capacity);
    const session = await this.session(`gather ${padded.join()}`, (type) =>
      emitGather(type, padded, this.config),
    );
    const feeds: Record<string, Tensor> = {};
    parts.forEach(({ rows, length }, part) => {
      feeds[`rows.${part}`] = new Tensor('int64', BigInt64Array.from(rows.map(BigInt)), [rows.length]);
      feeds[`length.${part}`] = integer(length);
      if (!padded[part]) return;
      const { numKeyValueHeads, headDim } = this.config;
      const padding = [rows.length, numKeyValueHeads, capacity - length, headDim];
      feeds[`padding.${part}`] = new Tensor('int64', BigInt64Array.from(padding.map(BigInt)), [4]);
    });
    const tensors: Tensor[] = [];
    for (let index = 0; index < 2 * this.config.numLayers; index++) {
      parts.forEach(({ cache }, part) => (feeds[`x.${part}`] = cache.tensors[index]!));
      tensors.push((await session.run(feeds))['y'] as Tensor);
    }
    const lengths = sources.map(({ cache, row, length }) => length ?? cache.lengths[row]!);
    return { rows: sources.length, capacity, lengths, tensors, owners: 1 };
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
  cache: KeyValueCache;
  rows: number[];
  /** Positions copied, at least 1: those of the longest row (what is beyond a shorter row's end is never read). */
  length: number;
}

/** Neighbouring rows of one cache together. */
function byCache(sources: readonly CacheRow[]): Part[] {
  const parts: Part[] = [];
  for (const { cache, row, length = cache.lengths[row]! } of sources) {
    const last = parts.at(-1);
    if (last?.cache === cache) {
      last.rows.push(row);
      last.length = Math.max(last.length, length);
    } else parts.push({ cache, rows: [row], length: Math.max(1, length) });
  }
  return parts;
}

function integer(value: number): Tensor {
  return new Tensor('int64', BigInt64Array.of(BigInt(value)), [1]);
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
