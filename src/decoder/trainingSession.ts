/**
 * Runs a training graph: batches of examples in, losses and gradients out.
 */
import { InferenceSession, Tensor } from '../onnx/runtime.ts';
import type { Checkpoint, ModelConfig } from '../checkpoint/types.ts';
import { messageOf, UserError } from '../protocol/errors.ts';
import { keyValueNames, type PastKeysAndValues } from './keyValueMemory.ts';
import { floatWeights } from './loading.ts';
import { RotaryTables, tableFeeds } from './rotaryTables.ts';
import { emitTrainingGraph, paddingPosition, type TrainingGraphOptions } from './trainingGraph.ts';
import type { Preparation } from './types.ts';

/** One sequence, or the end of one whose beginning is already keys and values. */
export interface TrainingExample {
  /** (length, hiddenSize) */
  inputsEmbeds: Float32Array;
  length: number;
  /** What comes before, a constant. Only in a graph with `past`. */
  past?: PastKeysAndValues;
  /** `index`: position within this sequence whose logits should predict the token. */
  labels: readonly { index: number; tokenId: number }[];
}

export interface LoraParameters {
  /** By `lora_a.L.M` and `lora_b.L.M`: (rank, in) and (out, rank), row-major. */
  factors: ReadonlyMap<string, Float32Array>;
  rank: number;
  scaling: number;
}

export interface TrainingResult {
  /** Per example: the sum of its labels' losses (natural logarithm), unweighted. */
  losses: number[];
  /** By name, without the `gradient.` of the graph's outputs. */
  gradients: Map<string, Float32Array>;
}

export class TrainingSession {
  readonly config: ModelConfig;
  private readonly options: TrainingGraphOptions;
  private readonly session: InferenceSession;
  private readonly tables: RotaryTables;

  private constructor(config: ModelConfig, options: TrainingGraphOptions, session: InferenceSession) {
    this.config = config;
    this.options = options;
    this.session = session;
    this.tables = new RotaryTables(config);
  }

  /**
   * Loads a checkpoint's weights from its own files, as DecoderSession does; those of a quantised one as floats, which
   * are made on first use.
   * @throws UserError if the runtime refuses the graph, the memory does not suffice or floats cannot be made
   */
  static async open(
    checkpoint: Checkpoint,
    options: TrainingGraphOptions,
    preparation: Preparation = {},
  ): Promise<TrainingSession> {
    const weights = await floatWeights(checkpoint, preparation);
    const { bytes, externalFolder } = emitTrainingGraph(weights, options).encode();
    try {
      const session = await InferenceSession.create(bytes, {
        executionProviders: ['cpu'],
        logSeverityLevel: 3,
        // shapes differ from step to step: planning memory for each would only hold on to it
        enableMemPattern: false,
        extra: {
          session: {
            model_external_initializers_file_folder_path: externalFolder,
            disable_prepacking: '1',
            // threads that spin between operators would slow down whatever else the machine does for hours
            intra_op: { allow_spinning: '0' },
          },
        },
      });
      return new TrainingSession(checkpoint.config, options, session);
    } catch (error) {
      throw new UserError(
        `The model in ${checkpoint.path} could not be loaded for training: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }

  /**
   * Loss and gradients of a batch. Examples are padded to the longest, so that similar lengths cost least. All must
   * use the same rotary tables (ropeRegime of their whole length).
   * @param labelWeight the objective is the sum of all labels' losses times this
   */
  async run(
    examples: readonly TrainingExample[],
    labelWeight: number,
    lora?: LoraParameters,
  ): Promise<TrainingResult> {
    const batch = examples.length;
    const sequence = Math.max(...examples.map(({ length }) => length));
    const past = Math.max(...examples.map((example) => pastLength(example)));
    const results = await this.session.run({
      ...this.sequenceFeeds(examples, sequence, past),
      ...(this.options.past ? this.pastFeeds(examples, past) : {}),
      ...labelFeeds(examples, sequence, labelWeight),
      ...(lora ? loraFeeds(lora) : {}),
    });
    const losses = results['losses']!.data as Float32Array;
    let label = 0;
    const gradients = new Map<string, Float32Array>();
    for (const [name, tensor] of Object.entries(results)) {
      if (name !== 'losses') gradients.set(name.slice('gradient.'.length), tensor.data as Float32Array);
    }
    return {
      losses: Array.from({ length: batch }, (_, i) =>
        examples[i]!.labels.reduce((sum) => sum + losses[label++]!, 0),
      ),
      gradients,
    };
  }

  async dispose(): Promise<void> {
    await this.session.release();
  }

  private sequenceFeeds(
    examples: readonly TrainingExample[],
    sequence: number,
    past: number,
  ): Record<string, Tensor> {
    const { hiddenSize } = this.config;
    const batch = examples.length;
    const embeds = new Float32Array(batch * sequence * hiddenSize);
    const positions = new BigInt64Array(batch * sequence);
    const keyPositions = new BigInt64Array(batch * (past + sequence)).fill(BigInt(paddingPosition));
    examples.forEach((example, i) => {
      const before = pastLength(example);
      embeds.set(example.inputsEmbeds.subarray(0, example.length * hiddenSize), i * sequence * hiddenSize);
      for (let j = 0; j < sequence; j++) positions[i * sequence + j] = BigInt(before + j);
      const keys = keyPositions.subarray(i * (past + sequence), (i + 1) * (past + sequence));
      for (let j = 0; j < before; j++) keys[j] = BigInt(j);
      for (let j = 0; j < example.length; j++) keys[past + j] = BigInt(before + j);
    });
    const tables = this.tables.get(past + sequence, pastLength(examples[0]!) + examples[0]!.length);
    return {
      inputs_embeds: new Tensor('float32', embeds, [batch, sequence, hiddenSize]),
      positions: new Tensor('int64', positions, [batch, sequence]),
      key_positions: new Tensor('int64', keyPositions, [batch, past + sequence]),
      ...tableFeeds(tables),
    };
  }

  /** (batch, past, keyValueHeads, headDim) per layer; that of a single example is given as it is. */
  private pastFeeds(examples: readonly TrainingExample[], past: number): Record<string, Tensor> {
    const { numKeyValueHeads, headDim } = this.config;
    const width = numKeyValueHeads * headDim;
    const only = examples.length === 1 ? examples[0]!.past : undefined;
    const tensors = keyValueNames(this.config, 'past').map((name, index) => {
      const data = only?.arrays[index] ?? new Float32Array(examples.length * past * width);
      if (!only)
        examples.forEach(
          (example, i) => example.past && data.set(example.past.arrays[index]!, i * past * width),
        );
      return [name, new Tensor('float32', data, [examples.length, past, numKeyValueHeads, headDim])];
    });
    return Object.fromEntries(tensors) as Record<string, Tensor>;
  }
}

function pastLength(example: TrainingExample): number {
  return example.past?.length ?? 0;
}

function labelFeeds(
  examples: readonly TrainingExample[],
  sequence: number,
  labelWeight: number,
): Record<string, Tensor> {
  const labels = examples.flatMap((example, i) =>
    example.labels.map(({ index, tokenId }) => ({ row: i * sequence + index, tokenId })),
  );
  const count = labels.length;
  const indices = BigInt64Array.from(labels, ({ row }) => BigInt(row));
  const targets = BigInt64Array.from(labels.flatMap(({ tokenId }, i) => [BigInt(i), BigInt(tokenId)]));
  return {
    label_indices: new Tensor('int64', indices, [count]),
    label_targets: new Tensor('int64', targets, [count, 2]),
    label_weights: new Tensor('float32', new Float32Array(count).fill(labelWeight), [count, 1]),
  };
}

function loraFeeds({ factors, rank, scaling }: LoraParameters): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = { lora_scaling: new Tensor('float32', Float32Array.of(scaling), []) };
  for (const [name, data] of factors) {
    const other = data.length / rank;
    feeds[name] = new Tensor('float32', data, name.startsWith('lora_a') ? [rank, other] : [other, rank]);
  }
  return feeds;
}
