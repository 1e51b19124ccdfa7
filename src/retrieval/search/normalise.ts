/**
 * The one form in which texts and queries are compared. What a passage shows stays as it is written; only what FTS5 is
 * given goes through here.
 */

/** Signs that are letters to Unicode's compatibility forms and none to a reader: a trademark ends a word. */
const trademarks = /[™℠]/gu;
const superscripts = /(?<=[\p{L}\p{N}\p{M}])(?=[⁰¹²³⁴-⁹])/gu;
/** Soft hyphens, zero-width spaces and joiners, direction marks, variation selectors; the Arabic stretching line. */
const invisible = /[\p{Default_Ignorable_Code_Point}\u0640]/gu;
/** Vowel points of Arabic and Hebrew, which most texts leave out. */
const points =
  /[\u0591-\u05BD\u05BF\u05C1\u05C2\u05C4\u05C5\u05C7\u0610-\u061A\u064B-\u065F\u0670\u06D6-\u06ED]/gu;
const apostrophes = /[\u02B9\u02BC\u2018\u2019\u201B\u055A\uA78B\uA78C]/gu;
const hyphens = /[\u2010-\u2015\u2212]/gu;
/** Accents of Greek; FTS5 takes away those of Latin letters alone. */
const greek = /\p{Script=Greek}/u;
const greekAccents = /(\p{Script=Greek})\p{Mn}+/gu;
const asciiOnly = /^[\p{ASCII}]*$/u;

/**
 * Compatibility forms composed (NFKC), invisible characters, vowel points and Greek accents left out, one apostrophe,
 * one hyphen, ss for ß, е for ё.
 */
export function normalise(text: string): string {
  if (asciiOnly.test(text)) return text;
  return joined(text.replace(superscripts, ' '));
}

/** The same for names, in which raised digits belong to the word: `m²` is m2. */
export function normaliseName(text: string): string {
  return asciiOnly.test(text) ? text : joined(text);
}

function joined(text: string): string {
  const plain = text
    .replace(trademarks, ' ')
    .normalize('NFKC')
    .replace(invisible, '')
    .replace(points, '')
    .replace(apostrophes, "'")
    .replace(hyphens, '-')
    .replaceAll('ß', 'ss')
    .replaceAll('ẞ', 'SS')
    .replaceAll('ё', 'е')
    .replaceAll('Ё', 'Е');
  if (!greek.test(plain)) return plain;
  return plain.normalize('NFD').replace(greekAccents, '$1').normalize('NFC');
}
