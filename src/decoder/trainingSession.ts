/**
 * Runs a training graph: batches of examples in, losses and gradients out.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Checkpoint, ModelConfig } from '../checkpoint/types.ts';
import { messageOf, UserError } from '../protocol/errors.ts';
import type { KeyValueCache } from './keyValueCache.ts';
import { ropeRegime, ropeTables, type RopeTables } from './rope.ts';
import { emitTrainingGraph, paddingPosition, type TrainingGraphOptions } from './trainingGraph.ts';

/** One sequence, or the end of one whose beginning is already keys and values. */
export interface TrainingExample {
  /** (length, hiddenSize) */
  inputsEmbeds: Float32Array;
  length: number;
  /** One row: what comes before, a constant. Only in a graph with `past`. */
  past?: KeyValueCache;
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
  private readonly tables = new Map<string, RopeTables>();

  private constructor(config: ModelConfig, options: TrainingGraphOptions, session: InferenceSession) {
    this.config = config;
    this.options = options;
    this.session = session;
  }

  /**
   * Loads a checkpoint's weights from its own files, as DecoderSession does.
   * @throws UserError if the runtime refuses the graph or the memory does not suffice
   */
  static async open(checkpoint: Checkpoint, options: TrainingGraphOptions): Promise<TrainingSession> {
    const { bytes, externalFolder } = emitTrainingGraph(checkpoint, options).encode();
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
        `The model in ${checkpoint.folder} could not be loaded for training: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }

  /**
   * Loss and gradients of a batch. Examples are padded to the longest, so that similar lengths cost least. All must
   * use the same rotary table (ropeRegime of their whole length).
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
    const tables = this.ropeTables(past + sequence, pastLength(examples[0]!) + examples[0]!.length);
    const tableDims = [tables.positions, tables.halfDim];
    return {
      inputs_embeds: new Tensor('float32', embeds, [batch, sequence, hiddenSize]),
      positions: new Tensor('int64', positions, [batch, sequence]),
      key_positions: new Tensor('int64', keyPositions, [batch, past + sequence]),
      cos_cache: new Tensor('float32', tables.cos, tableDims),
      sin_cache: new Tensor('float32', tables.sin, tableDims),
    };
  }

  /** (batch, keyValueHeads, past, headDim) per layer; a single cache that is exactly full is given as it is. */
  private pastFeeds(examples: readonly TrainingExample[], past: number): Record<string, Tensor> {
    const { numLayers, numKeyValueHeads: heads, headDim } = this.config;
    const feeds: Record<string, Tensor> = {};
    const dims = [examples.length, heads, past, headDim];
    for (let index = 0; index < 2 * numLayers; index++) {
      const name = `${index % 2 === 0 ? 'past_key' : 'past_value'}.${Math.floor(index / 2)}`;
      const only = examples.length === 1 ? examples[0]!.past : undefined;
      if (only?.capacity === past && only.rows === 1) {
        feeds[name] = only.tensors[index]!;
        continue;
      }
      const data = new Float32Array(dims.reduce((a, b) => a * b, 1));
      examples.forEach(({ past: cache }, i) => {
        if (!cache) return;
        const from = cache.tensors[index]!.data as Float32Array;
        for (let head = 0; head < heads; head++) {
          const start = head * cache.capacity * headDim;
          data.set(
            from.subarray(start, start + cache.lengths[0]! * headDim),
            (i * heads + head) * past * headDim,
          );
        }
      });
      feeds[name] = new Tensor('float32', data, dims);
    }
    return feeds;
  }

  private ropeTables(positions: number, sequenceLength: number): RopeTables {
    const regime = ropeRegime(this.config, sequenceLength);
    const known = this.tables.get(regime);
    if (known && known.positions >= positions) return known;
    if (!known && this.tables.size > 2) this.tables.clear();
    const tables = ropeTables(
      this.config,
      Math.max(positions, 2 * (known?.positions ?? 128)),
      sequenceLength,
    );
    this.tables.set(regime, tables);
    return tables;
  }
}

function pastLength(example: TrainingExample): number {
  return example.past?.lengths[0] ?? 0;
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
