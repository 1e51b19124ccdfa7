/** Text out of files (names, keys, values) as messages show it. */

/** Control characters, and those that turn or hide the text around them. */
const unseen = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/**
 * The text in double quotes, cut to `most` characters, on one line: what could break out of the quotes, steer a
 * terminal, turn the reading direction or make a link of the message is escaped or taken apart.
 */
export function quoted(text: string, most = 80): string {
  const cut = text.length > most ? `${text.slice(0, most).replace(/[\ud800-\udbff]$/, '')}…` : text;
  return JSON.stringify(cut)
    .replace(unseen, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`)
    .replaceAll('](', '] (');
}
