/** The tokenizer of a checkpoint folder: tokenizer.json and what stands beside it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer as UntypedTokenizer } from '@huggingface/tokenizers';
import { reasonOf, UserError } from '../protocol/errors.ts';
import { exists, isJsonObject, readJsonObject, readOptionalJsonObject, type JsonObject } from './files.ts';
import { bytesOfByteLevel, byteOf } from './gguf/textEncodings.ts';
import { checkTokenizerForm } from './tokenizerForm.ts';
import { normalizerRules, postProcessorRules, preTokenizerRules } from './tokenizerRules.ts';
import type {
  AddedToken,
  EncodeOptions,
  SpecialTokens,
  TokenizerModel,
  TokenizerSource,
} from './tokenizerModel.ts';

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

/** What the files of a tokenizer say. */
interface TokenizerFiles {
  path: string;
  tokenizer: JsonObject & { added_tokens: JsonObject[] };
  config: JsonObject;
}

/**
 * @throws UserError if tokenizer.json is missing, broken or of an unknown kind
 */
export async function readTokenizerFolder(folder: string): Promise<TokenizerSource> {
  const path = join(folder, 'tokenizer.json');
  if (!(await exists(path))) {
    throw new UserError(
      `${folder} has no tokenizer.json, which is needed to turn text into tokens. Download it with the model; ` +
        'older models: AutoTokenizer.from_pretrained(...).save_pretrained(folder) of transformers writes it.',
    );
  }
  const json = await readJsonObject(path);
  const config = (await readOptionalJsonObject(join(folder, 'tokenizer_config.json'))) ?? {};
  const { tokenizer, idOf, ...sizes } = readVocabulary(json, path);
  checkTokenizerForm(json, path);
  const rules = {
    normalizer: normalizerRules(tokenizer.normalizer),
    pre_tokenizer: preTokenizerRules(tokenizer.pre_tokenizer, path),
    post_processor: postProcessorRules(tokenizer.post_processor, config, idOf),
  };
  const files = { path, tokenizer: { ...tokenizer, ...rules }, config };
  return {
    path,
    ...sizes,
    chatTemplate: await readChatTemplate(folder, config),
    specialTokens: await readSpecialTokens(folder, config),
    build: (added) => new FolderTokenizerModel(files, added),
  };
}

class FolderTokenizerModel implements TokenizerModel {
  readonly #files: TokenizerFiles;
  readonly #addedTokens: readonly JsonObject[];
  readonly #library: HuggingFaceTokenizer;
  /** The same without special tokens in text; made when first needed. */
  #plain: HuggingFaceTokenizer | undefined;

  constructor(files: TokenizerFiles, added: readonly AddedToken[]) {
    this.#files = files;
    // Matched in the raw text: a normalizer that puts a space in front would hide them.
    const virtual = added.map((token) => ({ ...token, special: false, normalized: false }));
    this.#addedTokens = [...files.tokenizer.added_tokens, ...virtual];
    this.#library = this.#build(this.#addedTokens);
  }

  encode(text: string, { addSpecialTokens, specialTokensAsText }: EncodeOptions): number[] {
    if (specialTokensAsText) {
      this.#plain ??= this.#build(this.#addedTokens.filter(({ special }) => special !== true));
    }
    const library = specialTokensAsText ? this.#plain! : this.#library;
    const { ids } = library.encode(text, { add_special_tokens: addSpecialTokens });
    // Characters that the vocabulary lacks have no id; the reference implementation leaves them out, too.
    return ids.filter((id) => id !== undefined);
  }

  decode(ids: readonly number[], { skipSpecialTokens }: { skipSpecialTokens: boolean }): string {
    const known = ids.filter((id) => this.#library.id_to_token(id) !== undefined);
    if (known.length === 0) return '';
    const { tokenizer, config } = this.#files;
    const isBpe = isJsonObject(tokenizer.model) && tokenizer.model.type === 'BPE';
    return this.#library.decode(known, {
      skip_special_tokens: skipSpecialTokens,
      // Tidying spaces is meant for WordPiece; as transformers 5 does, byte-pair tokenizers never do it.
      clean_up_tokenization_spaces: !isBpe && config.clean_up_tokenization_spaces === true,
    });
  }

  tokenId(token: string): number | undefined {
    return this.#library.token_to_id(token);
  }

  bytes(id: number): Uint8Array | undefined {
    const token = this.#library.id_to_token(id);
    if (token === undefined) return undefined;
    const isAdded = this.#addedTokens.some((added) => added.id === id);
    const decoder = JSON.stringify(this.#files.tokenizer.decoder);
    if (!isAdded && decoder.includes('"ByteLevel"')) return bytesOfByteLevel(token);
    const byte = decoder.includes('"ByteFallback"') ? byteOf(token) : undefined;
    if (byte !== undefined) return Uint8Array.of(byte);
    return new TextEncoder().encode(isAdded ? token : token.replaceAll('▁', ' '));
  }

  #build(addedTokens: readonly JsonObject[]): HuggingFaceTokenizer {
    const { path, tokenizer, config } = this.#files;
    try {
      return new HuggingFaceTokenizer({ ...tokenizer, added_tokens: addedTokens }, config);
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new UserError(`${path} cannot be used: ${reasonOf(error)}.`, { cause: error });
    }
  }
}

interface ReadVocabulary extends Pick<TokenizerSource, 'size' | 'highestId' | 'highestBaseId'> {
  tokenizer: TokenizerFiles['tokenizer'];
  idOf: (token: string) => number | undefined;
}

function readVocabulary(json: JsonObject, path: string): ReadVocabulary {
  const { model, added_tokens: added = [] } = json;
  const vocabulary = isJsonObject(model) ? model.vocab : undefined;
  if (!Array.isArray(added) || !added.every((token) => isJsonObject(token))) {
    throw new UserError(`${path}: "added_tokens" is not a list of tokens.`);
  }
  // Old files do not name their kind.
  const kind = isJsonObject(model) ? (model.type ?? kindOf(model)) : undefined;
  if (isJsonObject(model) && kind !== 'BPE' && kind !== 'WordPiece' && kind !== 'Unigram') {
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

  const ids = new Map<string, number>();
  let highestId = -1;
  let highestBaseId = -1;
  for (const [index, [token, id]] of [
    ...entries,
    ...added.map(({ content, id }) => [content, id] as const),
  ].entries()) {
    if (typeof token !== 'string' || typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0) {
      throw new UserError(
        `${path}: the vocabulary entry ${JSON.stringify([token, id])} is not a token and its id.`,
      );
    }
    ids.set(token, id);
    highestId = Math.max(highestId, id);
    if (index < entries.length) highestBaseId = highestId;
  }
  const absent = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
  const named = isJsonObject(model) ? { model: { ...model, type: kind } } : {};
  const tokenizer = { ...absent, ...json, ...named, added_tokens: added };
  return { tokenizer, size: ids.size, highestId, highestBaseId, idOf: (token) => ids.get(token) };
}

/** The kind of a model by what it holds. */
function kindOf(model: JsonObject): string | undefined {
  if (Array.isArray(model.merges)) return 'BPE';
  if (Array.isArray(model.vocab)) return 'Unigram';
  return 'continuing_subword_prefix' in model ? 'WordPiece' : undefined;
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
