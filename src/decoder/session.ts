/**
 * One loaded model: the inference graph in an onnxruntime session, and the memory of its keys and values.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { QuantizedWeights } from '../checkpoint/quantized/store.ts';
import type { Checkpoint, LoraAdapter, ModelConfig } from '../checkpoint/types.ts';
import { messageOf, UserError } from '../protocol/errors.ts';
import { DeviceMemory, type ActivationType } from './deviceMemory.ts';
import { CheckpointWeights } from './graphWeights.ts';
import { emitInferenceGraph } from './inferenceGraph.ts';
import {
  appendToHost,
  HostCacheMemory,
  type CacheMemory,
  type CacheRow,
  type KeyValueCache,
} from './keyValueCache.ts';
import { LoraInputs } from './loraInputs.ts';
import { QuantizedGraphWeights } from './quantizedGraphWeights.ts';
import { ropeRegime, ropeTables } from './rope.ts';
import type { Device, Precision } from './types.ts';

/** One pass through the model. */
export interface ForwardInput {
  /** (rows, sequence, hiddenSize) */
  inputsEmbeds: Float32Array;
  /** New positions of each row: any number for one row, 1 for several (rows may differ in length). */
  sequence: number;
  /** The new keys and values are appended to it, its lengths grow by `sequence`. */
  cache: KeyValueCache;
  /** The adapter of each row. */
  adapters: readonly (LoraAdapter | undefined)[];
  /** Positions within `sequence` whose logits are wanted. */
  logitsIndices: readonly number[];
  /** Length of the sequence by which length-dependent rotary tables are chosen. */
  ropeLength: number;
}

export interface SessionOptions {
  device: Device;
  precision: Precision;
  threads?: number | undefined;
  /** Whether the device computes in float16: with quantised weights activations then are of that type. */
  float16?: boolean;
  /** For int8 and int4: the weights to load instead of the checkpoint's own. */
  quantized?: QuantizedWeights;
  /** See InferenceGraphOptions; default false. */
  plainAttention?: boolean;
}

/** Cosines and sines as inputs of the graph. */
interface RotaryInputs {
  positions: number;
  cos: Tensor;
  sin: Tensor;
}

export class DecoderSession {
  readonly config: ModelConfig;
  private readonly checkpoint: Checkpoint;
  readonly options: Readonly<SessionOptions>;
  private readonly activations: ActivationType;
  private readonly memory: CacheMemory;
  /** On the WebGPU device: the same as `memory`. */
  private readonly deviceMemory: DeviceMemory | undefined;
  private readonly loraInputs: LoraInputs;
  private readonly tables = new Map<string, RotaryInputs>();
  private session: InferenceSession;
  /** Whether the loaded graph takes adapters. */
  private hasLora = false;

  private constructor(checkpoint: Checkpoint, options: SessionOptions, session: InferenceSession) {
    this.checkpoint = checkpoint;
    this.config = checkpoint.config;
    this.options = options;
    this.activations = activationType(options);
    this.session = session;
    if (options.device === 'webgpu') this.deviceMemory = new DeviceMemory(this.config, this.activations);
    this.memory = this.deviceMemory ?? new HostCacheMemory(this.config);
    this.loraInputs = new LoraInputs(this.config, this.deviceMemory?.upload.bind(this.deviceMemory));
  }

  /**
   * Loads a checkpoint's weights from its own files. On the CPU float32 weights stay file-backed pages (no
   * pre-packing); weights of another type than the activations are converted once.
   * @throws UserError if the runtime refuses the graph or the memory does not suffice
   */
  static async open(
    checkpoint: Checkpoint,
    options: SessionOptions = { device: 'cpu', precision: 'f32' },
  ): Promise<DecoderSession> {
    return new DecoderSession(checkpoint, options, await createSession(checkpoint, options, false));
  }

  /** Bytes of the weights as they are loaded. */
  get weightBytes(): number {
    if (this.options.quantized) return this.options.quantized.bytes;
    let elements = 0;
    for (const { shape } of this.checkpoint.tensors.values()) elements += shape.reduce((x, y) => x * y, 1);
    return elements * this.memory.elementBytes;
  }

  /** Bytes of one element of keys and values. */
  get cacheElementBytes(): number {
    return this.memory.elementBytes;
  }

  /** An empty cache with this many rows and positions; the caller releases it. */
  allocate(rows: number, capacity: number): Promise<KeyValueCache> {
    return this.memory.allocate(rows, capacity);
  }

  /** A new cache made of rows of others; the caller releases it. */
  gather(sources: readonly CacheRow[], capacity: number): Promise<KeyValueCache> {
    return this.memory.gather(sources, capacity);
  }

  /** Runs the model. @returns logits (rows * logitsIndices.length, vocabSize) */
  async forward(input: ForwardInput): Promise<Float32Array> {
    const { inputsEmbeds, sequence, cache, adapters, logitsIndices } = input;
    await this.prepareFor(adapters);
    const totals = cache.lengths.map((length) => length + sequence);
    const { cos, sin } = await this.rotaryInputs(cache.capacity, input.ropeLength);
    const feeds: Record<string, Tensor> = {
      inputs_embeds: new Tensor('float32', inputsEmbeds, [cache.rows, sequence, this.config.hiddenSize]),
      batch_shape: int64(cache.rows, sequence, -1),
      logits_indices: int64(...logitsIndices),
      seqlens_k: new Tensor(
        'int32',
        Int32Array.from(totals, (total) => total - 1),
        [cache.rows],
      ),
      total_sequence_length: new Tensor('int32', Int32Array.of(Math.max(...totals)), []),
      cos_cache: cos,
      sin_cache: sin,
      ...(this.hasLora ? await this.loraInputs.of(adapters) : {}),
    };
    if (!this.deviceMemory) feeds['positions'] = positionsFrom(cache.lengths, sequence);
    cache.tensors.forEach((tensor, index) => (feeds[pastName(index)] = tensor));
    const results = await this.session.run(feeds);
    if (this.deviceMemory) {
      cache.tensors.forEach((tensor, index) => {
        tensor.dispose();
        cache.tensors[index] = results[presentName(index)] as Tensor;
      });
    } else {
      const news = cache.tensors.map((_, index) => results[newName(index)]!.data as Float32Array);
      appendToHost(this.config, cache, news, sequence);
    }
    cache.lengths.splice(0, cache.rows, ...totals);
    return results['logits']!.data as Float32Array;
  }

  /** Frees weights and helpers; caches must have been released before. */
  async dispose(): Promise<void> {
    this.loraInputs.dispose();
    this.disposeTables();
    await this.memory.dispose();
    await this.session.release();
  }

  /** Whether rows with these adapters can be run without loading the model again. */
  takes(adapters: readonly (LoraAdapter | undefined)[]): boolean {
    return this.hasLora || adapters.every((adapter) => adapter === undefined);
  }

  /**
   * Makes the session take adapters. Until the first adapter comes the graph has no LoRA inputs, which is faster; then
   * it is loaded once more, with them. Caches on a device that have been through the model must be released before.
   */
  async prepareFor(adapters: readonly (LoraAdapter | undefined)[]): Promise<void> {
    if (this.takes(adapters)) return;
    await this.session.release();
    this.session = await createSession(this.checkpoint, this.options, true);
    this.hasLora = true;
  }

  /** Tables with at least `positions` rows; kept, and grown by doubling. */
  private async rotaryInputs(positions: number, sequenceLength: number): Promise<RotaryInputs> {
    const regime = ropeRegime(this.config, sequenceLength);
    const known = this.tables.get(regime);
    if (known && known.positions >= positions) return known;
    // a table of a length-dependent regime is used for one length only: keep just the last of them
    if (known || this.tables.size > 2) this.disposeTables();
    const size = Math.max(positions, 2 * (known?.positions ?? 128));
    const tables = ropeTables(this.config, size, sequenceLength);
    const input = async (data: Float32Array): Promise<Tensor> => {
      const tensor = new Tensor('float32', data, [tables.positions, tables.halfDim]);
      return this.deviceMemory ? await this.deviceMemory.upload(tensor) : tensor;
    };
    const inputs = {
      positions: tables.positions,
      cos: await input(tables.cos),
      sin: await input(tables.sin),
    };
    this.tables.set(regime, inputs);
    return inputs;
  }

  private disposeTables(): void {
    for (const { cos, sin } of this.tables.values()) {
      if (cos.location === 'gpu-buffer') cos.dispose();
      if (sin.location === 'gpu-buffer') sin.dispose();
    }
    this.tables.clear();
  }
}

function activationType({ device, precision, float16 = false }: SessionOptions): ActivationType {
  return precision === 'f16' || (device === 'webgpu' && float16 && precision !== 'f32')
    ? 'float16'
    : 'float32';
}

async function createSession(
  checkpoint: Checkpoint,
  options: SessionOptions,
  lora: boolean,
): Promise<InferenceSession> {
  const activations = activationType(options);
  const { config } = checkpoint;
  const graph = emitInferenceGraph(
    config,
    (emitted) =>
      options.quantized
        ? new QuantizedGraphWeights(emitted, options.quantized, activations)
        : new CheckpointWeights(emitted, checkpoint, activations),
    {
      activations,
      lora,
      cacheOutputs: options.device === 'webgpu' ? 'present' : 'new',
      plainAttention: options.plainAttention ?? false,
    },
  );
  const { bytes, externalFolder } = graph.encode();
  const session: Record<string, string | undefined> = {
    model_external_initializers_file_folder_path: externalFolder,
  };
  const sessionOptions: InferenceSession.SessionOptions = {
    executionProviders: [options.device],
    logSeverityLevel: 3,
    ...(options.threads ? { intraOpNumThreads: options.threads } : {}),
    extra: { session },
  };
  if (options.device === 'webgpu') {
    session['disable_cpu_ep_fallback'] = '1';
    const caches = Array.from({ length: 2 * config.numLayers }, (_, index) => presentName(index));
    sessionOptions.preferredOutputLocation = Object.fromEntries(caches.map((name) => [name, 'gpu-buffer']));
  } else if (!options.quantized) {
    // float weights stay pages of the file; the kernels of quantised weights need their own layout
    session['disable_prepacking'] = '1';
  }
  try {
    return await InferenceSession.create(bytes, sessionOptions);
  } catch (error) {
    throw new UserError(`The model in ${checkpoint.folder} could not be loaded: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function pastName(index: number): string {
  return `${index % 2 === 0 ? 'past_key' : 'past_value'}.${Math.floor(index / 2)}`;
}

function presentName(index: number): string {
  return `${index % 2 === 0 ? 'present_key' : 'present_value'}.${Math.floor(index / 2)}`;
}

function newName(index: number): string {
  return `${index % 2 === 0 ? 'new_key' : 'new_value'}.${Math.floor(index / 2)}`;
}

/** int64 (rows, sequence): each row goes on behind its length. */
function positionsFrom(lengths: readonly number[], sequence: number): Tensor {
  const positions = new BigInt64Array(lengths.length * sequence);
  lengths.forEach((length, row) => {
    for (let i = 0; i < sequence; i++) positions[row * sequence + i] = BigInt(length + i);
  });
  return new Tensor('int64', positions, [lengths.length, sequence]);
}

function int64(...values: number[]): Tensor {
  return new Tensor('int64', BigInt64Array.from(values.map(BigInt)), [values.length]);
}
