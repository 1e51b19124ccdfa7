/** Passages that say the same: copies of a file, versions of a page, boilerplate. */

import { normalise } from './normalise.ts';

/** Two passages are near-duplicates if this share of their distinct words is common to both. */
const commonShare = 0.9;

export interface WordSet {
  words: ReadonlySet<string>;
}

export function wordSet(text: string): WordSet {
  return {
    words: new Set(
      normalise(text)
        .toLowerCase()
        .match(/[\p{L}\p{M}\p{N}]+/gu),
    ),
  };
}

/**
 * Whether one of the two can stand for both. Texts that differ in a number, or in a word that was asked for, are
 * never duplicates: in a table of ports, the number is the answer.
 * @param asked the query's words in lower case
 */
export function areNearDuplicates(a: WordSet, b: WordSet, asked: ReadonlySet<string>): boolean {
  const [small, large] = a.words.size < b.words.size ? [a.words, b.words] : [b.words, a.words];
  if (small.size < large.size * commonShare) return false;
  let common = 0;
  for (const word of small) {
    if (large.has(word)) common++;
    else if (tells(word, asked)) return false;
  }
  if (common < (small.size + large.size - common) * commonShare) return false;
  if (common === large.size) return true;
  for (const word of large) if (!small.has(word) && tells(word, asked)) return false;
  return true;
}

function tells(word: string, asked: ReadonlySet<string>): boolean {
  return asked.has(word) || /\p{N}/u.test(word);
}
