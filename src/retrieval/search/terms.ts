/**
 * What is indexed and looked up for a text beside its plain words. FTS5's unicode61 tokenizer splits at everything
 * but letters and digits, so parts of snake_case, paths and versions are tokens already; parts of camelCase and
 * each name as a whole are added here, on both sides in the same form.
 */

import { stopWords } from '../../protocol/stopWords.ts';
import { normalise, normaliseName } from './normalise.ts';

/** Between digits in joined names, so that 1.23 and 12.3 differ. A private-use character is a letter to unicode61. */
const digitSeam = '\uE000';
const longestName = 80;

/** Words, also with separators inside. Each is looked at once: no text makes it slow. */
const words = /[\p{L}\p{N}\p{M}]+(?:[._/\\:@+~-]+[\p{L}\p{N}\p{M}]+)*/gu;
const raised = /[⁰¹²³⁴-⁹]/u;
const separators = /[^\p{L}\p{N}\p{M}]+/u;
const humps = /(?<=\p{Ll}|\p{N})(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/u;
const hasHump = /\p{Ll}\p{Lu}/u;

/** The extra search terms of the names in a text: camelCase parts, each name joined, a path's last part joined. */
export function identifierTerms(text: string): string[] {
  const terms: string[] = [];
  for (const [word] of text.matchAll(words)) {
    const name = normaliseName(word);
    if (raised.test(word)) terms.push(name.toLowerCase());
    if (!separators.test(name) && !hasHump.test(name)) continue;
    const segments = name.split(separators).filter((segment) => segment !== '');
    for (const segment of segments) {
      const parts = segment.split(humps);
      if (parts.length > 1) terms.push(...parts.map((part) => part.toLowerCase()));
    }
    if (segments.length > 1) {
      terms.push(...joined(segments));
      const file = /[/\\]([^/\\]*)$/
        .exec(name)?.[1]
        ?.split(separators)
        .filter((segment) => segment !== '');
      if (file && file.length > 1) terms.push(...joined(file));
    }
  }
  return terms;
}

function joined(segments: readonly string[]): string[] {
  const name = segments
    .reduce(
      (all, segment) => `${all}${/\p{N}$/u.test(all) && /^\p{N}/u.test(segment) ? digitSeam : ''}${segment}`,
    )
    .toLowerCase();
  return name.length <= longestName ? [name] : [];
}

/** Letters of scripts that put no spaces between words, or, as Korean, write particles to them. */
const unspacedLetter =
  '[[\\p{scx=Han}\\p{scx=Hira}\\p{scx=Kana}\\p{scx=Bopo}\\p{scx=Hang}\\p{scx=Thai}\\p{scx=Laoo}\\p{scx=Khmr}\\p{scx=Mymr}' +
  '\\p{scx=Tale}\\p{scx=Talu}\\p{scx=Lana}\\p{scx=Tavt}\\p{scx=Java}\\p{scx=Bali}]&&[\\p{L}\\p{M}\\p{Nl}]]';
const unspacedRun = new RegExp(`${unspacedLetter}+`, 'gv');
const unspaced = new RegExp(unspacedLetter, 'v');

/** Korean particles of one syllable. */
const koreanParticles = '은는이가을를에의도로와과만';

/**
 * Text as it is given to FTS5. Scripts without spaces are replaced by overlapping pairs of characters and the last
 * character of each run, so that every character begins a token: a word of one character is found as a prefix.
 */
export function searchableText(text: string): string {
  return inPairs(normalise(text), true);
}

function inPairs(text: string, withLast: boolean): string {
  if (!unspaced.test(text)) return text;
  return text.replace(unspacedRun, (run) => {
    const characters = Array.from(run);
    const pairs = characters.slice(1).map((character, index) => `${characters[index]!}${character}`);
    if (withLast || pairs.length === 0) pairs.push(characters.at(-1)!);
    // A query's noun of one syllable with its particle is that of the text with another one.
    else if (pairs.length === 1 && koreanParticles.includes(characters[1]!)) pairs.push(characters[0]!);
    return ` ${pairs.join(' ')} `;
  });
}

/** Of a very long query its beginning and its end are looked at: a question stands at either. */
const longestQuery = 100_000;

/** The distinct search terms of a question, lower case, without stop words unless it has no other words. */
export function queryTerms(query: string): string[] {
  const text = normalise(
    query.length <= longestQuery
      ? query
      : `${query.slice(0, longestQuery / 2)} ${query.slice(-longestQuery / 2)}`,
  );
  const all = inPairs(text, false)
    .toLowerCase()
    .split(/[^\p{L}\p{M}\p{N}]+/u)
    .filter((word) => word !== '');
  const telling = all.filter((word) => !stopWords.has(word));
  return [
    ...new Set([...(telling.length > 0 ? telling : all), ...identifierTerms(query.slice(0, longestQuery))]),
  ];
}

/** The FTS5 expression that any of the terms match. Terms hold letters and digits only, so quoting is enough. */
export function matchExpression(terms: readonly string[]): string {
  return terms.map((term) => `"${term}"${isOneCharacterWord(term) ? '*' : ''}`).join(' OR ');
}

/** Such a word is indexed as the beginning of a pair. */
function isOneCharacterWord(term: string): boolean {
  return unspaced.test(term) && Array.from(term).length === 1;
}
