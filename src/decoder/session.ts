/**
 * One loaded model: the inference graph in an onnxruntime session, and memory for keys and values.
 */
import { availableParallelism } from 'node:os';
import { InferenceSession, Tensor } from '../onnx/runtime.ts';
import type { PreparedWeights } from '../checkpoint/quantized/store.ts';
import type { Checkpoint, LoraAdapter, ModelConfig } from '../checkpoint/types.ts';
import { messageOf, UserError } from '../protocol/errors.ts';
import { DeviceKeyValues } from './deviceKeyValues.ts';
import { DeviceTensors } from './deviceTensors.ts';
import { CheckpointWeights, type ActivationType } from './graphWeights.ts';
import { HostKeyValues } from './hostKeyValues.ts';
import { emitInferenceGraph } from './inferenceGraph.ts';
import { keyValueNames, positionsOf, type KeyValueMemory, type Run } from './keyValueMemory.ts';
import { LoraInputs } from './loraInputs.ts';
import { QuantizedGraphWeights } from './quantizedGraphWeights.ts';
import type { Device, Precision } from './types.ts';

export interface SessionOptions {
  device: Device;
  precision: Precision;
  threads?: number | undefined;
  /** Whether the device computes in float16: with quantised weights activations then are of that type. */
  float16?: boolean;
  /**
   * Copies float weights into the layout of the runtime's kernels, which is faster but takes their size in memory;
   * otherwise they stay pages of their file, which processes share. Default false.
   */
  packWeights?: boolean;
  /** Weights in blocks, to load instead of the checkpoint's own. */
  prepared?: PreparedWeights;
  /** Keep to attention kernels that do not depend on the adapter's subgroups (device.ts tests them). */
  plainAttention?: boolean;
}

export class DecoderSession {
  readonly config: ModelConfig;
  readonly options: Readonly<SessionOptions>;
  /** Where its sequences live. */
  readonly memory: KeyValueMemory;
  private readonly checkpoint: Checkpoint;
  private readonly device: DeviceTensors | undefined;
  private readonly loraInputs: LoraInputs;
  private session: InferenceSession;
  /** Whether the loaded graph takes adapters. */
  private hasLora = false;

  private constructor(checkpoint: Checkpoint, options: SessionOptions, session: InferenceSession) {
    this.checkpoint = checkpoint;
    this.config = checkpoint.config;
    this.options = options;
    this.session = session;
    if (options.device === 'webgpu') this.device = new DeviceTensors(activationType(options));
    this.memory = this.device
      ? new DeviceKeyValues(this.config, this.device)
      : new HostKeyValues(this.config, fewestRows(options));
    this.loraInputs = new LoraInputs(this.config, this.device?.upload.bind(this.device));
  }

  /**
   * Loads a checkpoint's weights from its own files; weights of another type than the activations are converted once.
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
    if (this.options.prepared) return this.options.prepared.bytes;
    let elements = 0;
    for (const { shape } of this.checkpoint.tensors.values()) elements += shape.reduce((x, y) => x * y, 1);
    return elements * this.memory.elementBytes;
  }

  /**
   * Runs the model on new positions of sequences, all of one comparison (begun with one `create`, or forks of it).
   * Runs of several positions go together only if they have the same adapter.
   * @returns for each run the logits that it wants (logitsAt.length, vocabSize)
   */
  async forward(runs: readonly Run[]): Promise<Float32Array[]> {
    await this.prepareFor(runs.map(({ adapter }) => adapter));
    const logits = new Map<Run, Float32Array>();
    for (const pass of this.memory.passes(runs)) {
      const results = await this.session.run({
        ...(await this.inputs(pass)),
        ...(await this.memory.feeds(pass)),
      });
      this.memory.accept(pass, results);
      const data = results['logits']!.data as Float32Array;
      let row = 0;
      for (const run of pass) {
        const end = row + run.logitsAt.length;
        logits.set(run, data.subarray(row * this.config.vocabSize, end * this.config.vocabSize));
        row = end;
      }
    }
    return runs.map((run) => logits.get(run)!);
  }

  /** Frees weights and helpers; sequences must have been released before. */
  async dispose(): Promise<void> {
    this.loraInputs.dispose();
    await this.memory.dispose();
    await this.device?.dispose();
    await this.session.release();
  }

  /** Whether rows with these adapters can be run without loading the model again. */
  takes(adapters: readonly (LoraAdapter | undefined)[]): boolean {
    return this.hasLora || adapters.every((adapter) => adapter === undefined);
  }

  /**
   * Makes the session take adapters. Until the first adapter comes the graph has no LoRA inputs, which is faster; then
   * it is loaded once more, with them. Sequences on a device that have been through the model must be released before.
   */
  async prepareFor(adapters: readonly (LoraAdapter | undefined)[]): Promise<void> {
    if (this.takes(adapters)) return;
    await this.session.release();
    this.session = await createSession(this.checkpoint, this.options, true);
    this.hasLora = true;
  }

  /** What a pass needs beside the attention's inputs. */
  private async inputs(pass: readonly Run[]): Promise<Record<string, Tensor>> {
    const counts = pass.map((run) => positionsOf(run, this.config));
    const starts = counts.map((_, run) => counts.slice(0, run).reduce((sum, count) => sum + count, 0));
    const positions = counts.reduce((sum, count) => sum + count, 0);
    const { fewestRows } = this.memory;
    const tokens = Math.max(positions, fewestRows);
    const { hiddenSize } = this.config;
    const embeds = new Float32Array(tokens * hiddenSize);
    pass.forEach(({ inputsEmbeds }, run) => embeds.set(inputsEmbeds, starts[run]! * hiddenSize));
    const indices = pass.flatMap(({ logitsAt }, run) => logitsAt.map((index) => starts[run]! + index));
    // none at all are none on the CPU, too
    if (indices.length > 0 || this.device) while (indices.length < fewestRows) indices.push(0);
    const inputs: Record<string, Tensor> = {
      inputs_embeds: new Tensor('float32', embeds, [tokens, hiddenSize]),
      logits_indices: int64(...indices),
    };
    // one position each: every run is a row with an adapter of its own
    const adapters = positions === pass.length ? pass.map(({ adapter }) => adapter) : [pass[0]!.adapter];
    if (adapters.length === 1 && pass.some(({ adapter }) => adapter !== adapters[0])) {
      throw new Error('Runs of several positions need the same adapter.');
    }
    if (this.hasLora || this.device) {
      inputs['batch_shape'] = int64(adapters.length, tokens / adapters.length, -1);
    }
    return this.hasLora ? { ...inputs, ...(await this.loraInputs.of(adapters)) } : inputs;
  }
}

/**
 * From how many outputs on weights can stay where they lie. The runtime divides the outputs among threads, and where one
 * gets few it sums in longer stretches (MLAS, sgemm.cpp: MlasSgemmOperation): the bits would depend on the rows, by which
 * it chooses the threads. Packed weights always have the same stretches.
 */
function unpackedFrom({ device, packWeights, threads = availableParallelism() }: SessionOptions): number {
  return device === 'cpu' && !packWeights ? 80 * threads : Infinity;
}

/**
 * Products of packed float weights have the same bits for one row as for several, since they have no kernels for one
 * (MLAS, sgemm.cpp: MlasSgemmPackedOperation; on ARM others may take over). Those of weights in blocks, or where they
 * lie in the file, do not.
 */
function fewestRows({ prepared, packWeights = false }: SessionOptions): number {
  return packWeights && !prepared && process.arch === 'x64' ? 1 : 2;
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
      options.prepared
        ? new QuantizedGraphWeights(emitted, options.prepared, checkpoint, activations)
        : new CheckpointWeights(emitted, checkpoint, activations, unpackedFrom(options)),
    {
      activations,
      lora,
      attention: options.device !== 'webgpu' ? 'blocks' : options.plainAttention ? 'plain' : 'fused',
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
    sessionOptions.preferredOutputLocation = Object.fromEntries(
      keyValueNames(config, 'present').map((name) => [name, 'gpu-buffer']),
    );
  }
  try {
    return await InferenceSession.create(bytes, sessionOptions);
  } catch (error) {
    throw new UserError(`The model in ${checkpoint.path} could not be loaded: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function int64(...values: number[]): Tensor {
  return new Tensor('int64', BigInt64Array.from(values.map(BigInt)), [values.length]);
}
