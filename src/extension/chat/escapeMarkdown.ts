/**
 * Text that a Markdown view shows as it stands: no links (typed or bare), commands, headings, lists or HTML. Every
 * piece of a streamed text can be escaped by itself. Spaces stay spaces, so that long lines wrap
 * (MarkdownString.appendText makes them non-breaking).
 */
export function escapeMarkdown(text: string): string {
  return text.replace(/[!-/:-@[-`{-~]/g, '\\$&').replace(/\r?\n/g, '  \n');
}
