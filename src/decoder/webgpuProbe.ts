/** Looks for a WebGPU adapter and tries what the decoder needs of it. */
import { InferenceSession, Tensor } from '../onnx/runtime.ts';
import { Graph, microsoftDomain } from '../onnx/graph.ts';
import { messageOf } from '../protocol/errors.ts';

/** What a WebGPU adapter can do. */
export type WebGpuTraits =
  | { available: false; reason: string }
  | {
      available: true;
      /** Whether the fused kernel for long prompts gives right results: it assumes subgroups of a certain size. */
      fusedAttention: boolean;
      /** Whether it computes in float16. */
      float16: boolean;
      /** Time of a small matrix product on the CPU over its time on the adapter. */
      speedOverCpu: number;
    };

/** Small enough for software adapters: they need seconds for larger ones. */
const matrixSize = 128;

/** Probes in this process, which a bad driver may abort: see device.ts. */
export async function probeWebGpu(): Promise<WebGpuTraits> {
  let seconds: number;
  try {
    seconds = await timeProduct('webgpu');
  } catch (error) {
    return { available: false, reason: shorten(messageOf(error)) };
  }
  return {
    available: true,
    fusedAttention: await attentionIsRight(),
    float16: await computesFloat16(),
    speedOverCpu: (await timeProduct('cpu')) / seconds,
  };
}

/** Seconds of the faster of two products after a first. */
async function timeProduct(device: string): Promise<number> {
  const graph = new Graph();
  const dims = [matrixSize, matrixSize];
  const x = graph.input('x', 'float32', dims);
  const squared = graph.node('Gemm', [x, x], { transB: 1 });
  graph.output('y', graph.node('ReduceMax', [squared, graph.integers(0, 1)], { keepdims: 0 }), []);
  const session = await createSession(graph, device);
  const input = new Tensor('float32', pseudoRandom(matrixSize * matrixSize), dims);
  let fastest = Infinity;
  for (let run = 0; run < 3; run++) {
    const start = performance.now();
    await session.run({ x: input });
    if (run > 0) fastest = Math.min(fastest, performance.now() - start);
  }
  await session.release();
  return fastest / 1000;
}

/** Compares the attention of a prompt of 64 positions with the CPU's. */
async function attentionIsRight(): Promise<boolean> {
  const [length, heads, headDim] = [64, 2, 64];
  const size = heads * headDim;
  const results: Float32Array[] = [];
  try {
    for (const device of ['cpu', 'webgpu']) {
      const graph = new Graph();
      const x = graph.input('x', 'float32', [1, length, size]);
      const past = graph.input('past', 'float32', [1, heads, 'past', headDim]);
      const lengths = graph.input('lengths', 'int32', [1]);
      const total = graph.input('total', 'int32', []);
      const outputs = graph.nodeWithOutputs(
        'GroupQueryAttention',
        [x, x, x, past, past, lengths, total],
        ['float32', 'float32', 'float32'],
        { num_heads: heads, kv_num_heads: heads },
        { domain: microsoftDomain },
      );
      graph.output('y', outputs[0]!, [1, length, size]);
      graph.output('key', outputs[1]!, [1, heads, 'present', headDim]);
      graph.output('value', outputs[2]!, [1, heads, 'present', headDim]);
      const session = await createSession(graph, device);
      const { y } = await session.run({
        x: new Tensor('float32', pseudoRandom(length * size), [1, length, size]),
        past: new Tensor('float32', new Float32Array(heads * length * headDim), [1, heads, length, headDim]),
        lengths: new Tensor('int32', Int32Array.of(length - 1), [1]),
        total: new Tensor('int32', Int32Array.of(length), []),
      });
      results.push(y!.data as Float32Array);
      await session.release();
    }
  } catch {
    return false;
  }
  return results[0]!.every((value, index) => Math.abs(value - results[1]![index]!) < 1e-4);
}

async function computesFloat16(): Promise<boolean> {
  try {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [4]);
    const half = graph.node('Cast', [x], { to: 10 }, { type: 'float16' });
    const doubled = graph.node('Add', [half, half]);
    graph.output('y', graph.node('Cast', [doubled], { to: 1 }, { type: 'float32' }), [4]);
    const session = await createSession(graph, 'webgpu');
    const { y } = await session.run({ x: new Tensor('float32', Float32Array.of(1, 2, 3, 4), [4]) });
    await session.release();
    return (y!.data as Float32Array).join() === '2,4,6,8';
  } catch {
    return false;
  }
}

async function createSession(graph: Graph, device: string): Promise<InferenceSession> {
  return InferenceSession.create(graph.encode().bytes, {
    executionProviders: [device],
    logSeverityLevel: 4,
    ...(device === 'webgpu' ? { extra: { session: { disable_cpu_ep_fallback: '1' } } } : {}),
  });
}

function pseudoRandom(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898) * 2);
}

/** The runtime's message without its source location. */
function shorten(message: string): string {
  const text = /(Failed to get a WebGPU adapter.*)/.exec(message)?.[1] ?? message;
  return text.trim().replace(/\.$/, '');
}
