import type { FileHandle } from 'node:fs/promises';
import { LRUCache } from 'lru-cache';
import { UserError } from '../protocol/errors.ts';
import { bytesPerElement, isFloatType, widenToFloat32 } from './elementTypes.ts';
import type { FloatType } from './elementTypes.ts';
import { readExactly } from './files.ts';
import { openForReading } from './safetensors.ts';
import type { Checkpoint, TensorLocation } from './types.ts';

/** Bytes of float32 rows kept: 4,096 rows of a hidden size of 2,048. */
const cacheBytes = 32 * 1024 * 1024;

/** Rows read at a time; more would only queue up in the thread pool. */
const parallelReads = 64;

/**
 * Reads rows of a checkpoint's token embeddings from its file. The matrix, a large part of a small model, is never
 * loaded; the rows of recent tokens are kept.
 */
export class EmbeddingTable {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly #handle: FileHandle;
  readonly #location: TensorLocation;
  readonly #type: FloatType;
  readonly #recent: LRUCache<number, Float32Array>;

  private constructor(handle: FileHandle, location: TensorLocation, type: FloatType) {
    const [vocabSize, hiddenSize] = location.shape as [number, number];
    this.vocabSize = vocabSize;
    this.hiddenSize = hiddenSize;
    this.#handle = handle;
    this.#location = location;
    this.#type = type;
    this.#recent = new LRUCache({ max: Math.max(64, Math.floor(cacheBytes / (4 * hiddenSize))) });
  }

  /** Opens the embedding matrix of a checkpoint; dispose of the table to close the file. */
  static async open(checkpoint: Checkpoint): Promise<EmbeddingTable> {
    const location = checkpoint.tensors.get('model.embed_tokens.weight');
    if (!location || !isFloatType(location.dtype)) {
      throw new Error(`${checkpoint.folder} was opened without token embeddings.`);
    }
    return new EmbeddingTable(await openForReading(location.file), location, location.dtype);
  }

  /**
   * The embeddings of tokens, in their order: (tokens, hiddenSize) float32.
   *
   * @throws UserError for a token id outside the vocabulary, and for rows that are not finite
   */
  async rows(tokenIds: readonly number[]): Promise<Float32Array<ArrayBuffer>> {
    const known = new Map<number, Float32Array>();
    const missing: number[] = [];
    for (const id of new Set(tokenIds)) {
      if (!Number.isInteger(id) || id < 0 || id >= this.vocabSize) {
        throw new UserError(
          `Token id ${id} is outside the model's vocabulary of ${this.vocabSize} tokens: the tokenizer and the ` +
            'weights are not of the same model.',
        );
      }
      const row = this.#recent.get(id);
      if (row) known.set(id, row);
      else missing.push(id);
    }
    for (let start = 0; start < missing.length; start += parallelReads) {
      const ids = missing.slice(start, start + parallelReads);
      const rows = await Promise.all(ids.map((id) => this.#read(id)));
      ids.forEach((id, i) => {
        known.set(id, rows[i]!);
        this.#recent.set(id, rows[i]);
      });
    }
    const result = new Float32Array(tokenIds.length * this.hiddenSize);
    tokenIds.forEach((id, position) => {
      result.set(known.get(id)!, position * this.hiddenSize);
    });
    return result;
  }

  async #read(id: number): Promise<Float32Array> {
    const { file, offset } = this.#location;
    const bytes = this.hiddenSize * bytesPerElement[this.#type];
    const row = widenToFloat32(await readExactly(this.#handle, file, offset + id * bytes, bytes), this.#type);
    if (!row.every((value) => Number.isFinite(value))) {
      throw new UserError(
        `${file}: the embedding of token ${id} holds values that are not finite (NaN or infinity), so the ` +
          "model's answers would be meaningless. Download the model again.",
      );
    }
    return row;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#recent.clear();
    await this.#handle.close();
  }
}
