/** Text from files, models and servers, made safe to print: it may be read, never act. */

/** Longest message that is shown whole. */
const longestMessage = 4000;

/**
 * Control characters but line breaks and tabs (escape sequences of terminals among them) and the characters that turn the
 * direction of text around are written as `\x1b` or `\u202e`; a text of endless length is cut.
 */
export function visible(text: string, most = longestMessage): string {
  const shown = text.length > most ? `${text.slice(0, most)}…` : text;
  return shown.replace(/(?![\n\t])[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    const code = character.codePointAt(0)!.toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u${code.padStart(4, '0')}`;
  });
}
