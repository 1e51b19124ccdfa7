/** How one answer differs from another, word by word. */
import { diffArrays } from 'diff';
import { wordsOf, type Span, type Word } from './words.ts';

export interface Differences {
  /** Stretches of the answer made of words that the reference does not have at that place. */
  added: Span[];
  addedWords: number;
  /** Words of the reference that the answer does not have. */
  omittedWords: number;
}

interface Change {
  removed: boolean;
  added: boolean;
  count: number;
}

/** After this the two answers count as different throughout: the search is quadratic. */
const patienceMs = 250;

/** Compares an answer with another word by word; case, punctuation and white space do not count. */
export function findDifferences(reference: string, answer: string): Differences {
  const before = wordsOf(reference);
  const after = wordsOf(answer);
  const changes = diffArrays(
    before.map((word) => word.key),
    after.map((word) => word.key),
    // The types of the package take `timeout` for a sure result; without one in time it is undefined.
    { timeout: patienceMs },
  ) as Change[] | undefined;
  const everything: Change[] = [
    { removed: true, added: false, count: before.length },
    { removed: false, added: true, count: after.length },
  ];
  const result: Differences = { added: [], addedWords: 0, omittedWords: 0 };
  let position = 0;
  for (const change of changes ?? everything) {
    const { count } = change;
    if (change.removed) {
      result.omittedWords += count;
      continue;
    }
    if (change.added && count > 0) {
      result.addedWords += count;
      result.added.push(spanOf(after.slice(position, position + count)));
    }
    position += count;
  }
  return result;
}

function spanOf(words: Word[]): Span {
  return { start: words[0]!.start, end: words[words.length - 1]!.end };
}

/** For people: how an answer differs from the reference called `name`. */
export function describeDifferences({ addedWords, omittedWords }: Differences, name: string): string {
  if (addedWords === 0 && omittedWords === 0) return `Same words as ${name}`;
  return `+${addedWords} −${omittedWords} words against ${name}`;
}
