/**
 * Byte-pair encoding of one piece of text: neighbours are merged, the best pair first, the left one among equals,
 * until no pair is known. SentencePiece's vocabularies rank a pair by the score of the token it makes, others by its
 * place in a list of merges (Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units").
 */

/** Two neighbouring symbols; `rank` is the order of merging, lowest first. */
interface Pair {
  left: number;
  right: number;
  end: number;
  rank: number;
}

/**
 * Time grows with the length n of the text as n log n.
 *
 * @param rank the rank of merging text[start, middle) with text[middle, end), the lowest first; undefined: never
 * @returns the symbols that are left, in order; together they are the text
 */
export function mergePairs(
  text: string,
  rank: (start: number, middle: number, end: number) => number | undefined,
): string[] {
  // Symbols are known by where they start; `ends` is 0 for those that were merged into the one on their left.
  const ends = new Int32Array(text.length);
  const previous = new Int32Array(text.length);
  const queue = new PairQueue();
  const consider = (left: number, right: number): void => {
    if (left < 0 || right >= text.length) return;
    const end = ends[right]!;
    const found = rank(left, right, end);
    if (found !== undefined) queue.push({ left, right, end, rank: found });
  };

  for (let start = 0, before = -1; start < text.length;) {
    const end = start + (text.codePointAt(start)! > 0xffff ? 2 : 1);
    ends[start] = end;
    previous[start] = before;
    consider(before, start);
    before = start;
    start = end;
  }
  for (let pair = queue.pop(); pair; pair = queue.pop()) {
    const { left, right, end } = pair;
    if (ends[left] !== right || ends[right] !== end) continue; // one of the two has been merged since
    ends[left] = end;
    ends[right] = 0;
    if (end < text.length) previous[end] = left;
    consider(previous[left]!, left);
    consider(left, end);
  }
  const symbols: string[] = [];
  for (let start = 0; start < text.length; start = ends[start]!) symbols.push(text.slice(start, ends[start]));
  return symbols;
}

/** A binary heap. */
class PairQueue {
  readonly #pairs: Pair[] = [];

  push(pair: Pair): void {
    const pairs = this.#pairs;
    let at = pairs.push(pair) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!comesFirst(pair, pairs[parent]!)) break;
      pairs[at] = pairs[parent]!;
      at = parent;
    }
    pairs[at] = pair;
  }

  pop(): Pair | undefined {
    const pairs = this.#pairs;
    const first = pairs[0];
    const last = pairs.pop();
    if (!last || pairs.length === 0) return first;
    let at = 0;
    for (let child = 1; child < pairs.length; child = 2 * at + 1) {
      if (child + 1 < pairs.length && comesFirst(pairs[child + 1]!, pairs[child]!)) child++;
      if (!comesFirst(pairs[child]!, last)) break;
      pairs[at] = pairs[child]!;
      at = child;
    }
    pairs[at] = last;
    return first;
  }
}

function comesFirst(a: Pair, b: Pair): boolean {
  return a.rank < b.rank || (a.rank === b.rank && a.left < b.left);
}
