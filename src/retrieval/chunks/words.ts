const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/gu;

/**
 * The size of a text in words: runs between white space, but at least one word per twelve characters, so that data
 * without spaces counts, and one per two characters in scripts that do not write spaces.
 */
export function sizeInWords(text: string): number {
  const words = text.match(/\S+/g)?.length ?? 0;
  const dense = Math.ceil(text.length / 12);
  if (words >= dense) return words;
  const characters = text.match(unspaced)?.length ?? 0;
  return Math.max(words, dense, Math.ceil(characters / 2));
}
