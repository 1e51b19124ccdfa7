/**
 * What may be text of a file, of a model or of a server, as the places of VS Code take it that read more into text than
 * it says. One function for each kind of place; show.ts and the views put everything through them.
 */
import { visible } from '../protocol/visible.ts';

/** Between two characters it is not seen, and they are no markup any more. */
const joiner = '\u2060';

/**
 * For notifications, input boxes, quick picks, tree rows, the status bar: `[label](command:…)` is no link there and
 * `$(name)` no icon.
 */
export function plain(text: string): string {
  return visible(text).replace(/\](?=\()|\$(?=\()/g, `$&${joiner}`);
}

/** For the output channel, which makes links of addresses, and where a line is an entry. */
export function logText(text: string): string {
  return visible(text)
    .replace(/\b([a-z][a-z0-9+.-]*:)(?=\/\/)/gi, `$1${joiner}`)
    .replace(/\n(?=\S)/g, '\n  ');
}

/**
 * For Markdown, which shows it as it stands: no links (typed or bare), commands, headings, lists or HTML. Every piece of
 * a streamed text can be escaped by itself. Spaces stay spaces, so that long lines wrap (MarkdownString.appendText makes
 * them non-breaking).
 */
export function escapeMarkdown(text: string): string {
  return text.replace(/[!-/:-@[-`{-~]/g, '\\$&').replace(/\r?\n/g, '  \n');
}
