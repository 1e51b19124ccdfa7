/**
 * The two ways in which GGUF files' vocabularies spell text: SentencePiece's (kind `llama`; Llama 2, Mistral, Gemma) and
 * GPT-2's bytes as characters (kind `gpt2`; most others). The algorithms are those of llama.cpp (src/llama-vocab.cpp).
 */
import { mergePairs } from './pairMerging.ts';
import { splitText, type PreTokenizer } from './preTokenizers.ts';

/** How ordinary text becomes tokens, and a token bytes of text. */
export interface TextEncoding {
  /**
   * Ids of a text without special tokens in it.
   * @param first whether it stands at the start or behind a special token
   */
  encode(text: string, first: boolean): number[];
  /** The bytes of an ordinary token. */
  bytes(token: string): Uint8Array;
  /** Whether decoded text loses the space that encoding puts in front. */
  readonly prefixesSpace: boolean;
}

const utf8 = new TextEncoder();

/** The number of a byte token such as `<0x0A>`. */
export function byteOf(token: string): number | undefined {
  return /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? Number.parseInt(token.slice(3, 5), 16) : undefined;
}

/** SentencePiece's byte-pair encoding by scores; what is no token becomes its UTF-8 bytes' tokens. */
export class SentencePieceEncoding implements TextEncoding {
  readonly prefixesSpace: boolean;
  readonly #ids: ReadonlyMap<string, number>;
  readonly #scores: ArrayLike<number>;
  /** The ids of the 256 byte tokens. */
  readonly #byteIds: ArrayLike<number>;
  readonly #longest: number;

  constructor(
    ids: ReadonlyMap<string, number>,
    scores: ArrayLike<number>,
    byteIds: ArrayLike<number>,
    prefixesSpace: boolean,
  ) {
    this.#ids = ids;
    this.#scores = scores;
    this.#byteIds = byteIds;
    this.prefixesSpace = prefixesSpace;
    let longest = 0;
    for (const token of ids.keys()) longest = Math.max(longest, token.length);
    this.#longest = longest;
  }

  encode(text: string, first: boolean): number[] {
    const spelled = `${first && this.prefixesSpace ? ' ' : ''}${text}`.replaceAll(' ', '▁');
    const symbols = mergePairs(spelled, (start, _middle, end) => {
      if (end - start > this.#longest) return undefined;
      const id = this.#ids.get(spelled.slice(start, end));
      return id === undefined ? undefined : -this.#scores[id]!;
    });
    return symbols.flatMap(
      (symbol) => this.#ids.get(symbol) ?? Array.from(utf8.encode(symbol), (byte) => this.#byteIds[byte]!),
    );
  }

  bytes(token: string): Uint8Array {
    return utf8.encode(token.replaceAll('▁', ' '));
  }
}

/** GPT-2's characters for bytes: printable ones stand for themselves, the others for 256, 257 and so on. */
const characters: readonly string[] = (() => {
  const printable = (byte: number): boolean =>
    (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte <= 0xff && byte !== 0xad);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();
const bytesOfCharacters: ReadonlyMap<string, number> = new Map(characters.map((text, byte) => [text, byte]));

/** The bytes that a token of GPT-2's kind stands for. */
export function bytesOfByteLevel(token: string): Uint8Array {
  const bytes = Array.from(
    token,
    (character) => bytesOfCharacters.get(character) ?? [...utf8.encode(character)],
  );
  return Uint8Array.from(bytes.flat());
}

/** Pieces remembered with their ids, and the length of the longest of them: words come again. */
const rememberedPieces = 20_000;
const rememberedLength = 64;

/** Byte-pair encoding of bytes by a list of merges, piece by piece. */
export class ByteLevelEncoding implements TextEncoding {
  readonly prefixesSpace = false;
  readonly #ids: ReadonlyMap<string, number>;
  /** The place of each merge, written `left right`. */
  readonly #ranks: ReadonlyMap<string, number>;
  readonly #preTokenizer: PreTokenizer;
  readonly #known = new Map<string, number[]>();

  constructor(
    ids: ReadonlyMap<string, number>,
    ranks: ReadonlyMap<string, number>,
    preTokenizer: PreTokenizer,
  ) {
    this.#ids = ids;
    this.#ranks = ranks;
    this.#preTokenizer = preTokenizer;
  }

  encode(text: string): number[] {
    return splitText(text, this.#preTokenizer).flatMap((piece) => {
      let ids = this.#known.get(piece);
      if (!ids) {
        ids = this.#encodePiece(piece);
        if (this.#known.size >= rememberedPieces) this.#known.clear();
        if (piece.length <= rememberedLength) this.#known.set(piece, ids);
      }
      return ids;
    });
  }

  bytes(token: string): Uint8Array {
    return bytesOfByteLevel(token);
  }

  #encodePiece(piece: string): number[] {
    const spelled = Array.from(utf8.encode(piece), (byte) => characters[byte]!).join('');
    const whole = this.#preTokenizer.wholePieces ? this.#ids.get(spelled) : undefined;
    if (whole !== undefined) return [whole];
    const symbols = mergePairs(spelled, (start, middle, end) =>
      this.#ranks.get(`${spelled.slice(start, middle)} ${spelled.slice(middle, end)}`),
    );
    // What is no token is taken apart; bytes that the vocabulary lacks are left out, as in the references.
    return symbols.flatMap(
      (symbol) =>
        this.#ids.get(symbol) ?? Array.from(symbol, (character) => this.#ids.get(character) ?? []).flat(),
    );
  }
}
