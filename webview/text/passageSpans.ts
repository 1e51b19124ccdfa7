/** Which words of an answer stand in a passage, and in which one. */
import { stopWords } from '../../src/protocol/stopWords.ts';
import { wordsOf, type Span, type Word } from './words.ts';

/** A stretch of an answer that stands word for word in a passage. */
export interface PassageSpan extends Span {
  passageId: string;
  /** Where in the passage's text. */
  inPassage: Span;
}

/** A passage's words, and where each of them stands. */
export interface IndexedPassage {
  id: string;
  words: Word[];
  places: ReadonlyMap<string, number[]>;
}

/** Prepares passages for any number of answers. */
export function indexPassages(passages: readonly { id: string; text: string }[]): IndexedPassage[] {
  return passages.map(({ id, text }) => {
    const words = wordsOf(text);
    return { id, words, places: placesOf(words) };
  });
}

/** A run of this many equal words is taken for a quotation. */
const quotationWords = 3;

/**
 * Finds the stretches of an answer that occur in a passage: from left to right, at each word the longest that
 * begins there. Shorter runs than three words count when they are the whole answer or hold a number: "8080" is an
 * answer, "of the" is not. A run of stop words and single digits alone says nothing, however long. Of equally long runs
 * the one of the earlier passage counts.
 */
export function findPassageSpans(answer: string, sources: readonly IndexedPassage[]): PassageSpan[] {
  const words = wordsOf(answer);
  const spans: PassageSpan[] = [];
  let position = 0;
  while (position < words.length) {
    let best: { id: string; words: Word[]; start: number; length: number } | null = null;
    for (const source of sources) {
      for (const start of source.places.get(words[position]!.key) ?? []) {
        const length = commonLength(words, position, source.words, start);
        if (length > (best?.length ?? 0)) best = { id: source.id, words: source.words, start, length };
      }
    }
    if (best === null || !isTelling(words, position, best.length)) {
      position++;
      continue;
    }
    spans.push({
      start: words[position]!.start,
      end: words[position + best.length - 1]!.end,
      passageId: best.id,
      inPassage: {
        start: best.words[best.start]!.start,
        end: best.words[best.start + best.length - 1]!.end,
      },
    });
    position += best.length;
  }
  return spans;
}

function placesOf(words: readonly Word[]): Map<string, number[]> {
  const places = new Map<string, number[]>();
  words.forEach(({ key }, place) => {
    const known = places.get(key);
    if (known) known.push(place);
    else places.set(key, [place]);
  });
  return places;
}

function commonLength(a: readonly Word[], aStart: number, b: readonly Word[], bStart: number): number {
  let length = 0;
  while (
    aStart + length < a.length &&
    bStart + length < b.length &&
    a[aStart + length]!.key === b[bStart + length]!.key
  )
    length++;
  return length;
}

function isTelling(words: readonly Word[], start: number, length: number): boolean {
  const run = words.slice(start, start + length);
  if (run.every(({ key }) => stopWords.has(key) || /^\p{Number}$/u.test(key))) return false;
  return (
    length >= quotationWords || length === words.length || run.some(({ key }) => /\p{Number}/u.test(key))
  );
}
