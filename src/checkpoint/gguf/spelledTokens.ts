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
    let parts: (string | number)[] = text === '' ? [] : [text];
    for (const token of this.#occurring(text)) {
      if (specialTokensAsText && token.special) continue;
      parts = parts.flatMap((part) => (typeof part === 'string' ? cut(part, token) : [part]));
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
    const size = ({ content }: SpelledToken): number => Buffer.byteLength(content);
    return [...found].sort((a, b) => size(b) - size(a) || a.id - b.id);
  }
}

function cut(text: string, { content, id, stripsRight }: SpelledToken): (string | number)[] {
  return text.split(content).flatMap((part, index) => {
    const rest = index > 0 && stripsRight ? part.replace(/^[ \t\n\v\f\r]+/, '') : part;
    return [...(index > 0 ? [id] : []), ...(rest === '' ? [] : [rest])];
  });
}
