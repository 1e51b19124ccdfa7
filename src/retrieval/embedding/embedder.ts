/** Vectors of texts by an embedding model. */
import { openTokenizer, type Tokenizer } from '../../checkpoint/tokenizer.ts';
import { InferenceSession, Tensor } from '../../onnx/runtime.ts';
import { messageOf, throwIfCancelled, UserError } from '../../protocol/errors.ts';
import { readModelFolder, type EmbeddingModelFolder } from './modelFolder.ts';
import { normalised, poolTokens } from './pooling.ts';

/** Texts and (padded) tokens of one run at most: enough to fill the processor, little memory. */
const batchTexts = 32;
const batchTokens = 8192;

/** Tokenizes texts and runs the model in batches. Loaded when first needed: it brings the ONNX runtime with it. */
export class Embedder {
  readonly fingerprint: string;
  readonly #model: EmbeddingModelFolder;
  readonly #tokenizer: Tokenizer;
  readonly #session: InferenceSession;

  private constructor(model: EmbeddingModelFolder, tokenizer: Tokenizer, session: InferenceSession) {
    this.fingerprint = model.fingerprint;
    this.#model = model;
    this.#tokenizer = tokenizer;
    this.#session = session;
  }

  /** @throws UserError if the folder is not an embedding model that can be run */
  static async open(folder: string): Promise<Embedder> {
    const model = readModelFolder(folder);
    const tokenizer = await openTokenizer(folder);
    let session: InferenceSession;
    try {
      session = await InferenceSession.create(model.modelFile, { executionProviders: ['cpu'] });
    } catch (error) {
      throw new UserError(`The embedding model ${model.modelFile} cannot be loaded: ${messageOf(error)}`);
    }
    return new Embedder(model, tokenizer, session);
  }

  /**
   * One vector of length 1 per text, in the order of the texts.
   * @throws CancelledError between batches
   */
  async embed(
    texts: readonly string[],
    kind: 'query' | 'passage',
    signal?: AbortSignal,
  ): Promise<Float32Array[]> {
    const prefix = kind === 'query' ? this.#model.queryPrefix : this.#model.passagePrefix;
    const encoded = texts.map((text, index) => ({ index, ids: this.#encode(prefix + text) }));
    // Texts of like length share a batch, so little is padded.
    encoded.sort((a, b) => a.ids.length - b.ids.length);
    const vectors: Float32Array[] = new Array<Float32Array>(texts.length);
    for (let start = 0; start < encoded.length;) {
      throwIfCancelled(signal);
      let end = start + 1;
      while (
        end < encoded.length &&
        end - start < batchTexts &&
        encoded[end]!.ids.length * (end - start + 1) <= batchTokens
      ) {
        end++;
      }
      const batch = encoded.slice(start, end);
      const results = await this.#run(batch.map(({ ids }) => ids));
      batch.forEach(({ index }, row) => (vectors[index] = results[row]!));
      start = end;
    }
    return vectors;
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  #encode(text: string): number[] {
    const ids = this.#tokenizer.encode(text);
    if (ids.length <= this.#model.maxTokens) return ids;
    // The last token, [SEP] or </s> in most models, stays last.
    return [...ids.slice(0, this.#model.maxTokens - 1), ids.at(-1)!];
  }

  async #run(batch: readonly number[][]): Promise<Float32Array[]> {
    const tokens = Math.max(1, ...batch.map((ids) => ids.length));
    const shape = [batch.length, tokens];
    const ids = new BigInt64Array(batch.length * tokens);
    const mask = new BigInt64Array(batch.length * tokens);
    batch.forEach((row, text) => {
      row.forEach((id, index) => {
        ids[text * tokens + index] = BigInt(id);
        mask[text * tokens + index] = 1n;
      });
    });
    const feeds: Record<string, Tensor> = {
      input_ids: new Tensor('int64', ids, shape),
      attention_mask: new Tensor('int64', mask, shape),
      token_type_ids: new Tensor('int64', new BigInt64Array(ids.length), shape),
    };
    const wanted = this.#session.inputNames;
    const unknown = wanted.filter((name) => !(name in feeds));
    if (unknown.length > 0) {
      throw new UserError(
        `${this.#model.modelFile} asks for inputs that are not known: ${unknown.join(', ')}.`,
      );
    }
    const outputs = await this.#session.run(Object.fromEntries(wanted.map((name) => [name, feeds[name]!])));
    return this.#vectors(outputs, batch, tokens);
  }

  /** Prefers vectors that the model pooled itself. */
  #vectors(
    outputs: InferenceSession.OnnxValueMapType,
    batch: readonly number[][],
    tokens: number,
  ): Float32Array[] {
    const names = [
      'sentence_embedding',
      'last_hidden_state',
      'token_embeddings',
      ...this.#session.outputNames,
    ];
    const output = names.map((name) => outputs[name]).find((value) => value !== undefined)!;
    const { data, dims } = output;
    const dimension = dims.at(-1)!;
    if (!(data instanceof Float32Array) || (dims.length !== 2 && dims.length !== 3)) {
      throw new UserError(
        `${this.#model.modelFile} puts out ${output.type} of shape [${dims.join(', ')}]; ` +
          'expected float32 of shape [texts, dimension] or [texts, tokens, dimension].',
      );
    }
    if (dims.length === 2) {
      return batch.map((_, text) => normalised(data.slice(text * dimension, (text + 1) * dimension)));
    }
    const lengths = batch.map((ids) => Math.max(1, ids.length));
    return poolTokens(data, lengths, tokens, dimension, this.#model.pooling);
  }
}
