/** Text to token ids and back, for the models of folders and GGUF files alike, with names for virtual tokens. */
import { stat } from 'node:fs/promises';
import { reasonOf, UserError } from '../protocol/errors.ts';
import { openGguf } from './gguf/file.ts';
import { withUsualKeys } from './gguf/ollamaGemma3.ts';
import { ggufTokenizerSource } from './gguf/tokenizer.ts';
import { readTokenizerFolder } from './tokenizerFolder.ts';
import type { SpecialTokens, TokenizerModel, TokenizerSource } from './tokenizerModel.ts';
import { withinTime } from './withinTime.ts';

/** The largest vocabularies take some seconds on a busy machine. */
const buildingMs = 60_000;

/** Milliseconds that a text (or its tokens) may take; real tokenizers do a thousand characters in one. */
function timeFor(length: number): number {
  return 5000 + Math.ceil(length / 50);
}

/** The name of the i-th virtual token in a prompt's text, counted from 0: `[ref1]` and so on. */
export function virtualTokenName(index: number): string {
  return `[ref${index + 1}]`;
}

/**
 * Turns text into token ids and back. Immutable; building the underlying tokenizer of a large vocabulary takes some
 * hundred milliseconds and happens once for each view.
 */
export class Tokenizer {
  /** Base vocabulary and added tokens, without virtual tokens: transformers' len(tokenizer). */
  readonly size: number;
  /** Largest id of the vocabulary and the added tokens. */
  readonly highestId: number;
  /** The same without tokens that were added later, such as a padding token for which the model has no row. */
  readonly highestBaseId: number;
  /** Id of `[ref1]`; virtual tokens are numbered from here on. */
  readonly firstVirtualTokenId: number;
  readonly virtualTokenCount: number;
  /** The Jinja text of the model's chat template. */
  readonly chatTemplate: string | undefined;
  readonly specialTokens: SpecialTokens;
  readonly #source: TokenizerSource;
  readonly #views = new Map<number, Tokenizer>();
  #built: TokenizerModel | undefined;

  private constructor(source: TokenizerSource, virtualTokenCount: number) {
    this.#source = source;
    this.size = source.size;
    this.highestId = source.highestId;
    this.highestBaseId = source.highestBaseId;
    this.firstVirtualTokenId = Math.max(source.size, source.highestId + 1);
    this.virtualTokenCount = virtualTokenCount;
    this.chatTemplate = source.chatTemplate;
    this.specialTokens = source.specialTokens;
  }

  /** Prefer openTokenizer. */
  static async open(path: string): Promise<Tokenizer> {
    const isFile = (await stat(path).catch(() => undefined))?.isFile() ?? false;
    return Tokenizer.from(isFile ? await readGgufTokenizer(path) : await readTokenizerFolder(path));
  }

  /**
   * @throws UserError if the kind of tokenizer is not supported
   */
  static from(source: TokenizerSource): Tokenizer {
    const result = new Tokenizer(source, 0);
    result.#model(); // Kinds that are not supported are reported now.
    return result;
  }

  /**
   * A tokenizer that also recognises `[ref1]`…`[refN]` in text; this one stays as it is.
   *
   * @param count how many virtual tokens
   */
  withVirtualTokens(count: number): Tokenizer {
    if (count === this.virtualTokenCount) return this;
    let view = this.#views.get(count);
    if (!view) {
      view = new Tokenizer(this.#source, count);
      this.#views.set(count, view);
    }
    return view;
  }

  /**
   * The token ids of a text. Special and added tokens that the text spells out are recognised.
   *
   * @param options.addSpecialTokens whether BOS and the like are added as the model's files say (default true)
   * @param options.specialTokensAsText whether special tokens in the text are letters like any other (default false)
   */
  encode(
    text: string,
    options: { addSpecialTokens?: boolean; specialTokensAsText?: boolean } = {},
  ): number[] {
    const { addSpecialTokens = true, specialTokensAsText = false } = options;
    const model = this.#model();
    return this.#bounded(timeFor(text.length), () =>
      model.encode(text, { addSpecialTokens, specialTokensAsText }),
    );
  }

  /**
   * The text of token ids; ids without a token (the padding of a model's vocabulary) give nothing.
   *
   * @param options.skipSpecialTokens leave out tokens such as BOS and EOS (default true)
   */
  decode(ids: readonly number[], options: { skipSpecialTokens?: boolean } = {}): string {
    const model = this.#model();
    const { skipSpecialTokens = true } = options;
    return this.#bounded(timeFor(ids.length), () => model.decode(ids, { skipSpecialTokens }));
  }

  /**
   * The text of each token by itself, special ones by their names; bytes that are no whole character are written
   * `<0xE6>`, a space stands for itself.
   */
  pieces(ids: readonly number[]): string[] {
    const model = this.#model();
    return ids.map((id) => pieceOf(model.bytes(id) ?? new Uint8Array()));
  }

  /** The id of a token by its exact text in the vocabulary. */
  tokenId(token: string): number | undefined {
    return this.#model().tokenId(token);
  }

  /** Whether this id is one of this view's virtual tokens. */
  isVirtualToken(id: number): boolean {
    return id >= this.firstVirtualTokenId && id < this.firstVirtualTokenId + this.virtualTokenCount;
  }

  #model(): TokenizerModel {
    const added = Array.from({ length: this.virtualTokenCount }, (_, i) => ({
      id: this.firstVirtualTokenId + i,
      content: virtualTokenName(i),
    }));
    this.#built ??= this.#bounded(buildingMs, () => this.#source.build(added));
    return this.#built;
  }

  /**
   * A file's expressions may take for ever, its replacements fill the memory, its rules be of a wrong form that shows only
   * now. A tokenizer that was stopped in the middle is built anew.
   */
  #bounded<Result>(milliseconds: number, work: () => Result): Result {
    const { path } = this.#source;
    try {
      return withinTime(milliseconds, `The tokenizer of ${path}`, work);
    } catch (error) {
      this.#built = undefined;
      if (error instanceof UserError) throw error;
      throw new UserError(`The tokenizer of ${path} cannot be used: ${reasonOf(error)}.`, { cause: error });
    }
  }
}

/**
 * Opens the tokenizer of a model.
 *
 * @param path a checkpoint folder or a GGUF file
 * @param vocabSize the model's vocabulary; it may be larger than the tokenizer (padding), not smaller. Tokens
 *   that were added to a vocabulary may lie beyond it: only a prompt that holds one is a fault.
 * @throws UserError if the tokenizer is missing, broken, of an unknown kind or too large for the model
 */
export async function openTokenizer(path: string, vocabSize?: number): Promise<Tokenizer> {
  const tokenizer = await Tokenizer.open(path);
  if (vocabSize !== undefined && tokenizer.highestBaseId >= vocabSize) {
    throw new UserError(
      `${path}: the tokenizer has token ids up to ${tokenizer.highestBaseId}, the model's vocabulary only ` +
        `${vocabSize} tokens (ids up to ${vocabSize - 1}): they are not of the same model.`,
    );
  }
  return tokenizer;
}

async function readGgufTokenizer(path: string): Promise<TokenizerSource> {
  const { metadata } = withUsualKeys(await openGguf(path));
  return ggufTokenizerSource(path, metadata);
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function pieceOf(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length;) {
    // The length of a character by its first byte; what is none is shown byte by byte.
    const first = bytes[at]!;
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    try {
      text += strictUtf8.decode(bytes.subarray(at, at + length));
      at += length;
    } catch {
      text += `<0x${first.toString(16).toUpperCase().padStart(2, '0')}>`;
      at++;
    }
  }
  return text;
}
