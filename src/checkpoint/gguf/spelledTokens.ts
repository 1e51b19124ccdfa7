/** Finds the tokens that a text spells out: control tokens, tokens defined by the model's makers, virtual tokens. */

export interface SpelledToken {
  id: number;
  content: string;
  /** A control token: text like any other where special tokens are taken as text. */
  special: boolean;
  /** White space behind it is dropped. */
  stripsRight?: boolean;
}

export class SpelledTokens {
  readonly #byContent: ReadonlyMap<string, SpelledToken>;
  /** The lengths of the tokens that begin with a UTF-16 unit. */
  readonly #lengths = new Map<number, Set<number>>();

  constructor(tokens: Iterable<SpelledToken>) {
    this.#byContent = new Map([...tokens].map((token) => [token.content, token]));
    for (const content of this.#byContent.keys()) {
      const lengths = this.#lengths.get(content.charCodeAt(0));
      if (lengths) lengths.add(content.length);
      else this.#lengths.set(content.charCodeAt(0), new Set([content.length]));
    }
  }

  /**
   * Cuts a text at its tokens: the longest token first, wherever it stands, as llama.cpp does (a tokenizer.json's are
   * found from left to right; the two differ only where tokens overlap).
   *
   * @returns ids of tokens and the text between them, in order, no text empty
   */
  split(text: string, specialTokensAsText: boolean): (string | number)[] {
    const starts = new Map<number, SpelledToken>();
    /** Which units of the text belong to a token, or are dropped behind one. */
    const taken = new Uint8Array(text.length);
    for (const token of this.#occurring(text)) {
      if (specialTokensAsText && token.special) continue;
      const { content, stripsRight } = token;
      for (let at = text.indexOf(content); at >= 0;) {
        let end = at + content.length;
        const last = taken.subarray(at, end).lastIndexOf(1);
        if (last < 0) {
          if (stripsRight) while (!taken[end] && /[ \t\n\v\f\r]/.test(text.charAt(end))) end++;
          taken.fill(1, at, end);
          starts.set(at, token);
        }
        at = text.indexOf(content, last < 0 ? end : at + last + 1);
      }
    }
    const parts: (string | number)[] = [];
    for (let at = 0; at < text.length;) {
      const token = starts.get(at);
      if (token) parts.push(token.id);
      const inside = taken[at];
      const start = at;
      do at++;
      while (at < text.length && taken[at] === inside && !starts.has(at));
      if (!inside) parts.push(text.slice(start, at));
    }
    return parts;
  }

  /** The tokens that stand somewhere in the text, longest first. */
  #occurring(text: string): SpelledToken[] {
    const found = new Set<SpelledToken>();
    for (let at = 0; at < text.length; at++) {
      for (const length of this.#lengths.get(text.charCodeAt(at)) ?? []) {
        const token = this.#byContent.get(text.slice(at, at + length));
        if (token) found.add(token);
      }
    }
    const bytes = ({ content }: SpelledToken): number => Buffer.byteLength(content);
    return [...found].sort((a, b) => bytes(b) - bytes(a) || a.id - b.id);
  }
}
