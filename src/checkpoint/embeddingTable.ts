import { readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { LRUCache } from 'lru-cache';
import { UserError } from '../protocol/errors.ts';
import { bytesPerElement, isFloatType, widenToFloat32 } from './elementTypes.ts';
import type { FloatType } from './elementTypes.ts';
import { openForReading } from './safetensors.ts';
import type { Checkpoint, TensorLocation } from './types.ts';

/** Bytes of float32 rows kept: 4,096 rows of a hidden size of 2,048. */
const cacheBytes = 32 * 1024 * 1024;

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
    const most = Math.max(64, Math.floor(cacheBytes / (4 * hiddenSize)));
    this.#recent = new LRUCache({ max: Math.min(most, vocabSize) });
  }

  /** Opens the embedding matrix of a checkpoint; dispose of the table to close the file. */
  static async open(checkpoint: Checkpoint): Promise<EmbeddingTable> {
    const location = checkpoint.tensors.get('model.embed_tokens.weight');
    if (!location || !isFloatType(location.dtype)) {
      throw new Error(`${checkpoint.path} was opened without token embeddings.`);
    }
    return new EmbeddingTable(await openForReading(location.file), location, location.dtype);
  }

  /**
   * The embeddings of tokens, in their order: (tokens, hiddenSize) float32.
   *
   * @throws UserError for a token id outside the vocabulary, and for rows that are not finite
   */
  async rows(tokenIds: readonly number[]): Promise<Float32Array<ArrayBuffer>> {
    const result = new Float32Array(tokenIds.length * this.hiddenSize);
    for (const [position, id] of tokenIds.entries()) {
      if (!Number.isInteger(id) || id < 0 || id >= this.vocabSize) {
        throw new UserError(
          `Token id ${id} is outside the model's vocabulary of ${this.vocabSize} tokens: the tokenizer and the ` +
            'weights are not of the same model.',
        );
      }
      let row = this.#recent.get(id);
      if (!row) {
        row = this.#read(id);
        this.#recent.set(id, row);
      }
      result.set(row, position * this.hiddenSize);
    }
    return Promise.resolve(result);
  }

  /** Blocks: a pread takes a microsecond or two, a trip through the thread pool twenty times that. */
  #read(id: number): Float32Array {
    const { file, offset } = this.#location;
    const length = this.hiddenSize * bytesPerElement[this.#type];
    const bytes = new Uint8Array(length);
    if (readSync(this.#handle.fd, bytes, 0, length, offset + id * length) !== length) {
      throw new UserError(
        `${file} ends before the embedding of token ${id}: it was changed. Load the model again.`,
      );
    }
    const row = widenToFloat32(bytes, this.#type);
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
