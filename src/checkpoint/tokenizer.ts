import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer as UntypedTokenizer } from '@huggingface/tokenizers';
import { messageOf, UserError } from '../protocol/errors.ts';
import { exists, isJsonObject, readJsonObject, readOptionalJsonObject } from './files.ts';
import type { JsonObject } from './files.ts';

/**
 * The part of the library that is used here. Its own declarations import without file extensions, which
 * TypeScript does not resolve for ES modules.
 */
interface HuggingFaceTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  decode(
    ids: number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
}
const HuggingFaceTokenizer = UntypedTokenizer as unknown as new (
  tokenizer: object,
  config: object,
) => HuggingFaceTokenizer;

/** The texts of the tokens with a role; absent where the folder's files name none. */
export interface SpecialTokens {
  bos?: string;
  eos?: string;
  unk?: string;
  pad?: string;
}

/** What the files of a tokenizer say, shared by all its views. */
interface TokenizerFiles {
  folder: string;
  tokenizer: JsonObject & { added_tokens: JsonObject[] };
  config: JsonObject;
  /** Tokens of the model and added ones, each counted once: what transformers calls len(tokenizer). */
  size: number;
  highestId: number;
}

/** The name of the i-th virtual token in a prompt's text, counted from 0: `[ref1]` and so on. */
export function virtualTokenName(index: number): string {
  return `[ref${index + 1}]`;
}

/**
 * Turns text into token ids and back, by a folder's tokenizer.json. Immutable; building the underlying tokenizer
 * of a large vocabulary takes some hundred milliseconds and happens on first use.
 */
export class Tokenizer {
  /** Base vocabulary and added tokens, without virtual tokens: transformers' len(tokenizer). */
  readonly size: number;
  /** Largest id of the vocabulary and the added tokens. */
  readonly highestId: number;
  /** Id of `[ref1]`; virtual tokens are numbered from here on. */
  readonly firstVirtualTokenId: number;
  readonly virtualTokenCount: number;
  /** The Jinja text of the folder's chat template. */
  readonly chatTemplate: string | undefined;
  readonly specialTokens: SpecialTokens;
  readonly #files: TokenizerFiles;
  readonly #views = new Map<number, Tokenizer>();
  #built: HuggingFaceTokenizer | undefined;

  private constructor(files: TokenizerFiles, extras: TokenizerExtras, virtualTokenCount: number) {
    this.#files = files;
    this.size = files.size;
    this.highestId = files.highestId;
    this.firstVirtualTokenId = Math.max(files.size, files.highestId + 1);
    this.virtualTokenCount = virtualTokenCount;
    this.chatTemplate = extras.chatTemplate;
    this.specialTokens = extras.specialTokens;
  }

  /** Prefer openTokenizer. */
  static async open(folder: string): Promise<Tokenizer> {
    const path = join(folder, 'tokenizer.json');
    if (!(await exists(path))) {
      throw new UserError(
        `${folder} has no tokenizer.json, which is needed to turn text into tokens. Download it with the model; ` +
          'older models: AutoTokenizer.from_pretrained(...).save_pretrained(folder) of transformers writes it.',
      );
    }
    const tokenizer = await readJsonObject(path);
    const config = (await readOptionalJsonObject(join(folder, 'tokenizer_config.json'))) ?? {};
    const vocabulary = readVocabulary(tokenizer, path);
    const extras = {
      chatTemplate: await readChatTemplate(folder, config),
      specialTokens: await readSpecialTokens(folder, config),
    };
    const result = new Tokenizer({ folder, config, ...vocabulary }, extras, 0);
    result.#tokenizer(); // Kinds that are not supported are reported now.
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
      view = new Tokenizer(this.#files, this, count);
      this.#views.set(count, view);
    }
    return view;
  }

  /**
   * The token ids of a text. Special and added tokens that the text spells out are recognised.
   *
   * @param options.addSpecialTokens whether the tokenizer's post-processor adds BOS and the like (default true)
   */
  encode(text: string, options: { addSpecialTokens?: boolean } = {}): number[] {
    const { ids } = this.#tokenizer().encode(text, { add_special_tokens: options.addSpecialTokens ?? true });
    // Characters that the vocabulary lacks have no id; the reference implementation leaves them out, too.
    return ids.filter((id) => id !== undefined);
  }

  /**
   * The text of token ids; ids without a token (the padding of a model's vocabulary) give nothing.
   *
   * @param options.skipSpecialTokens leave out tokens such as BOS and EOS (default true)
   */
  decode(ids: readonly number[], options: { skipSpecialTokens?: boolean } = {}): string {
    const tokenizer = this.#tokenizer();
    const known = ids.filter((id) => tokenizer.id_to_token(id) !== undefined);
    if (known.length === 0) return '';
    return tokenizer.decode(known, {
      skip_special_tokens: options.skipSpecialTokens ?? true,
      // transformers' old default of tidying spaces changes the text: only where the file asks for it.
      clean_up_tokenization_spaces: this.#files.config.clean_up_tokenization_spaces === true,
    });
  }

  /** The id of a token by its exact text in the vocabulary. */
  tokenId(token: string): number | undefined {
    return this.#tokenizer().token_to_id(token);
  }

  /** Whether this id is one of this view's virtual tokens. */
  isVirtualToken(id: number): boolean {
    return id >= this.firstVirtualTokenId && id < this.firstVirtualTokenId + this.virtualTokenCount;
  }

  #tokenizer(): HuggingFaceTokenizer {
    if (this.#built) return this.#built;
    const { folder, tokenizer, config } = this.#files;
    const virtualTokens = Array.from({ length: this.virtualTokenCount }, (_, i) => ({
      id: this.firstVirtualTokenId + i,
      content: virtualTokenName(i),
      special: false,
      // Matched in the raw text: a normalizer that puts a space in front would hide them.
      normalized: false,
    }));
    try {
      this.#built = new HuggingFaceTokenizer(
        { ...tokenizer, added_tokens: [...tokenizer.added_tokens, ...virtualTokens] },
        config,
      );
    } catch (error) {
      throw new UserError(`${join(folder, 'tokenizer.json')} cannot be used: ${messageOf(error)}`);
    }
    return this.#built;
  }
}

type TokenizerExtras = Pick<Tokenizer, 'chatTemplate' | 'specialTokens'>;

/**
 * Opens the tokenizer of a checkpoint folder.
 *
 * @param vocabSize the model's vocabulary; it may be larger than the tokenizer (padding), not smaller
 * @throws UserError if tokenizer.json is missing, broken, of an unknown kind or too large for the model
 */
export async function openTokenizer(folder: string, vocabSize?: number): Promise<Tokenizer> {
  const tokenizer = await Tokenizer.open(folder);
  if (vocabSize !== undefined && tokenizer.highestId >= vocabSize) {
    throw new UserError(
      `${folder}: the tokenizer has token ids up to ${tokenizer.highestId}, the model's vocabulary only ` +
        `${vocabSize} tokens (ids up to ${vocabSize - 1}): tokenizer.json and config.json are not of the same model.`,
    );
  }
  return tokenizer;
}

function readVocabulary(
  json: JsonObject,
  path: string,
): Pick<TokenizerFiles, 'tokenizer' | 'size' | 'highestId'> {
  const { model, added_tokens: added = [] } = json;
  const vocabulary = isJsonObject(model) ? model.vocab : undefined;
  if (!Array.isArray(added) || !added.every((token) => isJsonObject(token))) {
    throw new UserError(`${path}: "added_tokens" is not a list of tokens.`);
  }
  const kind = isJsonObject(model) ? model.type : undefined;
  // The library would take an unknown kind for one that it knows; old files do not name theirs.
  if (kind !== undefined && kind !== 'BPE' && kind !== 'WordPiece' && kind !== 'Unigram') {
    throw new UserError(
      `${path} is of the kind ${JSON.stringify(kind)}, which is not supported; expected BPE, WordPiece or Unigram.`,
    );
  }
  // BPE, WordPiece: {token: id}; Unigram: [[token, score], …] whose index is the id.
  const entries: [unknown, unknown][] = Array.isArray(vocabulary)
    ? vocabulary.map((entry: unknown, id) => [Array.isArray(entry) ? entry[0] : undefined, id])
    : isJsonObject(vocabulary)
      ? Object.entries(vocabulary)
      : [];
  if (entries.length === 0 && added.length === 0) throw new UserError(`${path} holds no vocabulary.`);

  const tokens = new Set<string>();
  let highestId = -1;
  for (const [token, id] of [...entries, ...added.map(({ content, id }) => [content, id] as const)]) {
    if (typeof token !== 'string' || typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0) {
      throw new UserError(
        `${path}: the vocabulary entry ${JSON.stringify([token, id])} is not a token and its id.`,
      );
    }
    tokens.add(token);
    highestId = Math.max(highestId, id);
  }
  const absent = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
  return { tokenizer: { ...absent, ...json, added_tokens: added }, size: tokens.size, highestId };
}

/** Newer folders have chat_template.jinja; others a text or a list of named texts in tokenizer_config.json. */
async function readChatTemplate(folder: string, config: JsonObject): Promise<string | undefined> {
  const file = join(folder, 'chat_template.jinja');
  if (await exists(file)) return readFile(file, 'utf8');
  const template = config.chat_template;
  if (typeof template === 'string') return template;
  if (!Array.isArray(template)) return undefined;
  const named = template.filter((entry) => isJsonObject(entry));
  const chosen = named.find((entry) => entry.name === 'default') ?? named[0];
  return typeof chosen?.template === 'string' ? chosen.template : undefined;
}

async function readSpecialTokens(folder: string, config: JsonObject): Promise<SpecialTokens> {
  const map = (await readOptionalJsonObject(join(folder, 'special_tokens_map.json'))) ?? {};
  const result: SpecialTokens = {};
  for (const role of ['bos', 'eos', 'unk', 'pad'] as const) {
    const value = config[`${role}_token`] ?? map[`${role}_token`];
    const text = isJsonObject(value) ? value.content : value;
    if (typeof text === 'string') result[role] = text;
  }
  return result;
}
