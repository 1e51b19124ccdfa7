/** Words of texts and stretches of them, which comparing answers and passages is built on. */

/** A word of a text. Two words are the same when their keys are equal. */
export interface Word {
  /** UTF-16 offsets, end exclusive. */
  start: number;
  end: number;
  /** The word without differences of case and of compatibility forms. */
  key: string;
}

/** A stretch of a text: UTF-16 offsets, end exclusive. */
export interface Span {
  start: number;
  end: number;
}

const segmenter = new Intl.Segmenter(undefined, { granularity: 'word' });

/** The words of a text by the rules of Unicode (UAX 29), so that languages without spaces work too. */
export function wordsOf(text: string): Word[] {
  const words: Word[] = [];
  for (const { segment, index, isWordLike } of segmenter.segment(text)) {
    if (isWordLike !== true) continue;
    words.push({
      start: index,
      end: index + segment.length,
      key: segment.normalize('NFKC').toLowerCase(),
    });
  }
  return words;
}
