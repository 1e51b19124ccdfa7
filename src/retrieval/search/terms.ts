/**
 * What is indexed and looked up for a text beside its plain words. FTS5's unicode61 tokenizer splits at everything
 * but letters and digits, so parts of snake_case, paths and versions are tokens already; parts of camelCase and
 * each name as a whole are added here, on both sides in the same form.
 */

/** Between digits in joined names, so that 1.23 and 12.3 differ. A private-use character is a letter to unicode61. */
const digitSeam = '\uE000';
const longestName = 80;

/** Letters or digits with separators inside, or with a hump (aB, ABc, or a letter-digit seam is not one). */
const names = /[\p{L}\p{N}]+(?:[._/\\:@+~-]+[\p{L}\p{N}]+)+|[\p{L}\p{N}]*\p{Ll}\p{Lu}[\p{L}\p{N}]*/gu;
const separators = /[^\p{L}\p{N}]+/u;
const humps = /(?<=\p{Ll}|\p{N})(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/u;

/** The extra search terms of the names in a text: camelCase parts, each name joined, a path's last part joined. */
export function identifierTerms(text: string): string[] {
  const terms: string[] = [];
  for (const [name] of text.matchAll(names)) {
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

const unspacedRun = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]{2,}/gu;
const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;

/** Text as it is given to FTS5: scripts that write no spaces are replaced by overlapping pairs of characters. */
export function searchableText(text: string): string {
  if (!unspaced.test(text)) return text;
  return text.replace(unspacedRun, (run) => {
    const characters = Array.from(run);
    const pairs = characters.slice(1).map((character, index) => `${characters[index]!}${character}`);
    return ` ${pairs.join(' ')} `;
  });
}

/**
 * Words of English questions that say nothing about the subject. Kept short: a word that is rare in a corpus costs
 * nothing, and one that names something ("will", "may", "it") is dropped only where other words remain.
 */
const stopWords = new Set(
  (
    'a an and are as at be been being by can could did do does for from had has have how i if in into is it its ' +
    'me my of on or our shall should so such than that the their them then there these they this those to was we ' +
    'were what when where which who whom whose why will with would you your'
  ).split(' '),
);

const mostTerms = 64;

/** The distinct search terms of a question, lower case, without stop words unless it has no other words. */
export function queryTerms(query: string): string[] {
  const words = searchableText(query)
    .toLowerCase()
    .split(/[^\p{L}\p{M}\p{N}]+/u)
    .filter((word) => word !== '');
  const telling = words.filter((word) => !stopWords.has(word));
  const terms = [...(telling.length > 0 ? telling : words), ...identifierTerms(query)];
  return [...new Set(terms)].slice(0, mostTerms);
}

/** The FTS5 expression that any of the terms match. Terms hold letters and digits only, so quoting is enough. */
export function matchExpression(terms: readonly string[]): string {
  return terms.map((term) => `"${term}"`).join(' OR ');
}
