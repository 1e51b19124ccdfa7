import { LRUCache } from 'lru-cache';
import { UserError } from '../protocol/errors.ts';
import { TensorRows } from './tensorRows.ts';
import type { Checkpoint } from './types.ts';

/** Bytes of float32 rows kept: 4,096 rows of a hidden size of 2,048. */
const cacheBytes = 32 * 1024 * 1024;

/**
 * Reads rows of a checkpoint's token embeddings from its file. The matrix, a large part of a small model, is never
 * loaded; the rows of recent tokens are kept.
 */
export class EmbeddingTable {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly #rows: TensorRows;
  readonly #file: string;
  readonly #recent: LRUCache<number, Float32Array>;

  private constructor(rows: TensorRows, file: string) {
    this.vocabSize = rows.rows;
    this.hiddenSize = rows.columns;
    this.#rows = rows;
    this.#file = file;
    const most = Math.max(64, Math.floor(cacheBytes / (4 * rows.columns)));
    this.#recent = new LRUCache({ max: Math.min(most, rows.rows) });
  }

  /** Opens the embedding matrix of a checkpoint; dispose of the table to close the file. */
  static async open(checkpoint: Checkpoint): Promise<EmbeddingTable> {
    const location = checkpoint.tensors.get('model.embed_tokens.weight');
    if (!location) throw new Error(`${checkpoint.path} was opened without token embeddings.`);
    return new EmbeddingTable(await TensorRows.open(location), location.file);
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
          `Token id ${id} is outside the model's vocabulary of ${this.vocabSize} tokens: the tokenizer has ` +
            'tokens for which the weights have no row, such as one added for padding. Leave it out of the prompt.',
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

  #read(id: number): Float32Array {
    const row = this.#rows.read(id, 1);
    if (!row.every((value) => Number.isFinite(value))) {
      throw new UserError(
        `${this.#file}: the embedding of token ${id} holds values that are not finite (NaN or infinity), so the ` +
          "model's answers would be meaningless. Download the model again.",
      );
    }
    return row;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#recent.clear();
    await this.#rows[Symbol.asyncDispose]();
  }
}
