/**
 * One loaded model: the inference graph in an onnxruntime session, and the memory of its keys and values.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Checkpoint, LoraAdapter, ModelConfig } from '../checkpoint/types.ts';
import { messageOf, UserError } from '../protocol/errors.ts';
import { loraTargets } from './architecture.ts';
import { emitInferenceGraph } from './inferenceGraph.ts';
import { allocateCache, gatherRows, type KeyValueCache } from './keyValueCache.ts';
import { ropeRegime, ropeTables, type RopeTables } from './rope.ts';

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

export class DecoderSession {
  readonly config: ModelConfig;
  private readonly session: InferenceSession;
  private readonly tables = new Map<string, RopeTables>();
  private loraFeeds: { key: string; feeds: Record<string, Tensor> } | undefined;

  private constructor(config: ModelConfig, session: InferenceSession) {
    this.config = config;
    this.session = session;
  }

  /**
   * Loads a checkpoint's weights from its own files. Float32 weights stay file-backed pages (no pre-packing), half
   * precision is widened once.
   * @throws UserError if the runtime refuses the graph or the memory does not suffice
   */
  static async open(checkpoint: Checkpoint): Promise<DecoderSession> {
    const { bytes, externalFolder } = emitInferenceGraph(checkpoint).encode();
    try {
      const session = await InferenceSession.create(bytes, {
        executionProviders: ['cpu'],
        logSeverityLevel: 3,
        extra: {
          session: { model_external_initializers_file_folder_path: externalFolder, disable_prepacking: '1' },
        },
      });
      return new DecoderSession(checkpoint.config, session);
    } catch (error) {
      throw new UserError(`The model in ${checkpoint.folder} could not be loaded: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** An empty cache with this many rows and positions. */
  allocate(rows: number, capacity: number): KeyValueCache {
    return allocateCache(this.config, rows, capacity);
  }

  /** A new cache made of rows of others (their first `length` positions, all of them by default). */
  gather(
    sources: readonly { cache: KeyValueCache; row: number; length?: number }[],
    capacity: number,
  ): KeyValueCache {
    return gatherRows(this.config, sources, capacity);
  }

  /** Runs the model. @returns logits (rows * logitsIndices.length, vocabSize) */
  async forward(input: ForwardInput): Promise<Float32Array> {
    const { inputsEmbeds, sequence, cache, logitsIndices } = input;
    const { hiddenSize, numLayers } = this.config;
    const totals = cache.lengths.map((length) => length + sequence);
    const longest = Math.max(...totals);
    const tables = this.ropeTables(cache.capacity, input.ropeLength);
    const tableDims = [tables.positions, tables.halfDim];
    const feeds: Record<string, Tensor> = {
      inputs_embeds: new Tensor('float32', inputsEmbeds, [cache.rows, sequence, hiddenSize]),
      logits_indices: new Tensor('int64', BigInt64Array.from(logitsIndices.map(BigInt)), [
        logitsIndices.length,
      ]),
      seqlens_k: new Tensor(
        'int32',
        Int32Array.from(totals, (total) => total - 1),
        [cache.rows],
      ),
      total_sequence_length: new Tensor('int32', Int32Array.of(longest), []),
      cos_cache: new Tensor('float32', tables.cos, tableDims),
      sin_cache: new Tensor('float32', tables.sin, tableDims),
      ...this.loraInputs(input.adapters),
    };
    const fetches: Record<string, Tensor | null> = { logits: null };
    for (let layer = 0; layer < numLayers; layer++) {
      const [key, value] = [cache.tensors[2 * layer]!, cache.tensors[2 * layer + 1]!];
      // the same buffers as past and present: the operator then writes in place
      feeds[`past_key.${layer}`] = fetches[`present_key.${layer}`] = key;
      feeds[`past_value.${layer}`] = fetches[`present_value.${layer}`] = value;
    }
    const results = await this.session.run(feeds, fetches);
    if (results['present_key.0']?.data !== cache.tensors[0]!.data)
    cache.lengths.splice(0, cache.rows, ...totals);
    return results['logits']!.data as Float32Array;
  }

  async dispose(): Promise<void> {
    await this.session.release();
  }

  /** Tables with at least `positions` rows; kept, and grown by doubling. */
  private ropeTables(positions: number, sequenceLength: number): RopeTables {
    const regime = ropeRegime(this.config, sequenceLength);
    const known = this.tables.get(regime);
    if (known && known.positions >= positions) return known;
    // a table of a length-dependent regime is used for one length only: keep just the last of them
    if (!known && this.tables.size > 2) this.tables.clear();
    const size = Math.max(positions, 2 * (known?.positions ?? 128));
    const tables = ropeTables(this.config, size, sequenceLength);
    this.tables.set(regime, tables);
    return tables;
  }

  /** The LoRA factors of every row, padded with zeros to the largest rank; kept while the adapters stay the same. */
  private loraInputs(adapters: readonly (LoraAdapter | undefined)[]): Record<string, Tensor> {
    const key = adapters.map((adapter) => adapter?.id ?? '').join('\n');
    if (this.loraFeeds?.key !== key) {
      const feeds: Record<string, Tensor> = {};
      for (const { key: target, inFeatures, outFeatures } of loraTargets(this.config)) {
        const pairs = adapters.map((adapter) => adapter?.pairs.get(target));
        const rank = Math.max(0, ...pairs.map((pair) => pair?.rank ?? 0));
        const a = new Float32Array(adapters.length * inFeatures * rank); // (rows, in, rank)
        const b = new Float32Array(adapters.length * rank * outFeatures); // (rows, rank, out)
        pairs.forEach((pair, row) => {
          if (!pair) return;
          for (let r = 0; r < pair.rank; r++) {
            for (let i = 0; i < inFeatures; i++) {
              a[(row * inFeatures + i) * rank + r] = pair.a[r * inFeatures + i]!;
            }
            for (let o = 0; o < outFeatures; o++) {
              b[(row * rank + r) * outFeatures + o] = pair.b[o * pair.rank + r]! * pair.scaling;
            }
          }
        });
        feeds[`lora_a.${target}`] = new Tensor('float32', a, [adapters.length, inFeatures, rank]);
        feeds[`lora_b.${target}`] = new Tensor('float32', b, [adapters.length, rank, outFeatures]);
      }
      this.loraFeeds = { key, feeds };
    }
    return this.loraFeeds.feeds;
  }
}
