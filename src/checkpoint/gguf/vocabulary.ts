/** A GGUF file's vocabulary as a tokenizer: special tokens around ordinary text, ids to text and back. */
import type { AddedToken, EncodeOptions, TokenizerModel } from '../tokenizerModel.ts';
import { SpelledTokens, type SpelledToken } from './spelledTokens.ts';
import { byteOf, type TextEncoding } from './textEncodings.ts';

/** What `tokenizer.ggml.token_type` counts. */
export const tokenTypes = {
  undefined: 0,
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

export interface Vocabulary {
  tokens: readonly string[];
  ids: ReadonlyMap<string, number>;
  /** One of tokenTypes for each token. */
  types: Uint8Array;
  encoding: TextEncoding;
  /** Put in front of text and behind it, where they are to be. */
  addedBos?: number;
  addedEos?: number;
  /** Phi-3: control tokens take the white space behind them with them. */
  stripsRight: boolean;
}

const nothing = new Uint8Array();
const utf8 = new TextEncoder();

export class GgufTokenizerModel implements TokenizerModel {
  readonly #vocabulary: Vocabulary;
  readonly #added: ReadonlyMap<number, string>;
  readonly #addedIds: ReadonlyMap<string, number>;
  readonly #spelled: SpelledTokens;

  constructor(vocabulary: Vocabulary, added: readonly AddedToken[]) {
    this.#vocabulary = vocabulary;
    this.#added = new Map(added.map(({ id, content }) => [id, content]));
    this.#addedIds = new Map(added.map(({ id, content }) => [content, id]));
    this.#spelled = new SpelledTokens([
      ...spelledTokens(vocabulary),
      ...added.map((token) => ({ ...token, special: false })),
    ]);
  }

  encode(text: string, { addSpecialTokens, specialTokensAsText }: EncodeOptions): number[] {
    const { encoding, addedBos, addedEos } = this.#vocabulary;
    let first = true;
    const ids = this.#spelled.split(text.toWellFormed(), specialTokensAsText).flatMap((part) => {
      const partIds = typeof part === 'number' ? [part] : encoding.encode(part, first);
      first = typeof part === 'number';
      return partIds;
    });
    if (!addSpecialTokens) return ids;
    if (addedBos !== undefined && ids[0] !== addedBos) ids.unshift(addedBos);
    if (addedEos !== undefined && ids.at(-1) !== addedEos) ids.push(addedEos);
    return ids;
  }

  decode(ids: readonly number[], { skipSpecialTokens }: { skipSpecialTokens: boolean }): string {
    const shown = skipSpecialTokens ? ids.filter((id) => !this.#isSpecial(id)) : ids;
    const parts = shown.map((id) => this.bytes(id) ?? nothing);
    // U+FEFF at the start is text here, not a mark of the encoding.
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(parts));
    const strip = this.#vocabulary.encoding.prefixesSpace && text.startsWith(' ');
    return strip ? text.slice(1) : text;
  }

  tokenId(token: string): number | undefined {
    return this.#addedIds.get(token) ?? this.#vocabulary.ids.get(token);
  }

  bytes(id: number): Uint8Array | undefined {
    const added = this.#added.get(id);
    if (added !== undefined) return utf8.encode(added);
    const { tokens, types, encoding } = this.#vocabulary;
    const token = tokens[id];
    if (token === undefined) return undefined;
    switch (types[id]) {
      case tokenTypes.normal:
        return encoding.bytes(token);
      case tokenTypes.byte:
        return Uint8Array.of(byteOf(token)!);
      case tokenTypes.unused:
      case tokenTypes.undefined:
        return nothing;
      default:
        return utf8.encode(token);
    }
  }

  #isSpecial(id: number): boolean {
    return isSpecial(this.#vocabulary.types[id]);
  }
}

function isSpecial(type: number | undefined): boolean {
  return type === tokenTypes.control || type === tokenTypes.unknown;
}

/** The tokens that text may spell out, as llama.cpp takes them. */
function* spelledTokens({ tokens, types, stripsRight }: Vocabulary): Generator<SpelledToken> {
  const keepsSpace = ['<unk>', '<s>', '<|endoftext|>'];
  for (const [id, content] of tokens.entries()) {
    const special = isSpecial(types[id]);
    if (!special && types[id] !== tokenTypes.userDefined) continue;
    yield { id, content, special, stripsRight: stripsRight && !keepsSpace.includes(content) };
  }
}
