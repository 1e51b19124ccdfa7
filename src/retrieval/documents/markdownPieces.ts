/** Cuts a Markdown text in pieces that the parser takes one by one. */

/** A piece is at least so long, where it can be cut: time and memory of the parser grow faster than its input. */
const pieceCharacters = 16_384;

/** Short lines cost the parser, too: each counts as so many characters more. */
const costOfLine = 24;

/** What cannot be cut and is longer than this is read as plain text; and what is nested deeper, or indented further. */
const longestPiece = 16 * pieceCharacters;
const deepest = 24;
const deepestIndentation = 100;

/** From this many rows on a table is a piece of its own, which needs no parser. */
const rowsOfLongTable = 30;

/** Lines `first`..`last` (from 1, both included). */
export interface MarkdownPiece {
  kind: 'markdown' | 'table' | 'plain';
  first: number;
  last: number;
}

/** Starts of HTML blocks that go on over blank lines, and what ends them (CommonMark 4.6, kinds 1 to 5). */
const htmlBlocks: readonly (readonly [start: RegExp, end: RegExp])[] = [
  [/^ {0,3}<(?:script|pre|style|textarea)(?:[\s>]|$)/i, /<\/(?:script|pre|style|textarea)>/i],
  [/^ {0,3}<!--/, /-->/],
  [/^ {0,3}<\?/, /\?>/],
  [/^ {0,3}<![a-z]/i, />/],
  [/^ {0,3}<!\[CDATA\[/, /\]\]>/],
];
const fenceMarker = /^\s*(?:(?:[-*+>]|\d{1,9}[.)])\s+)*(`{3,}|~{3,})/;
const nested = new RegExp(`^(?:\\s*(?:>|[-*+](?=\\s)|\\d{1,9}[.)](?=\\s))){${deepest}}`);
const indented = new RegExp(`^[ \\t]{${deepestIndentation}}`);
const tableRow = /^ {0,3}\|/;
const delimiterRow = /^ {0,3}\|[\s:|-]+$/;

/**
 * Ranges of which each is a Markdown text by itself: cut outside fenced code and HTML blocks, before a heading or a
 * paragraph that follows a blank line and is not indented (so it continues no list). Comments that are blocks of
 * their own are in none.
 */
export function markdownPieces(fileLines: readonly string[]): MarkdownPiece[] {
  const pieces: MarkdownPiece[] = [];
  let first = 1;
  let size = 0;
  let isDeep = false;
  let fence: string | undefined;
  let htmlEnd: RegExp | undefined;
  /** Ends a piece before `line`. */
  const cutBefore = (line: number) => {
    const kind = isDeep || size > longestPiece ? 'plain' : 'markdown';
    if (line > first) pieces.push({ kind, first, last: line - 1 });
    first = line;
    size = 0;
    isDeep = false;
  };
  for (let line = 1; line <= fileLines.length; line++) {
    const content = fileLines[line - 1]!;
    const followsBlank = line === 1 || fileLines[line - 2]!.trim() === '';
    if (!fence && !htmlEnd) {
      const rows = followsBlank ? tableRows(fileLines, line) : 0;
      if (rows >= rowsOfLongTable) {
        cutBefore(line);
        pieces.push({ kind: 'table', first: line, last: line + rows - 1 });
        line += rows - 1;
        first = line + 1;
        continue;
      }
      const comment = followsBlank ? commentLines(fileLines, line) : 0;
      if (comment > 0) {
        cutBefore(line);
        line += comment - 1;
        first = line + 1;
        continue;
      }
      const mayCut = /^#{1,6}\s/.test(content) || (/^\p{L}/u.test(content) && followsBlank);
      if (mayCut && size >= pieceCharacters) cutBefore(line);
    }
    if (htmlEnd) {
      if (htmlEnd.test(content)) htmlEnd = undefined;
    } else {
      fence = fenceAfter(content, fence);
      const start = fence ? undefined : htmlBlocks.find(([pattern]) => pattern.test(content));
      if (start && !start[1].test(content)) htmlEnd = start[1];
    }
    isDeep ||= !fence && (nested.test(content) || indented.test(content));
    size += content.length + costOfLine;
  }
  cutBefore(fileLines.length + 1);
  return pieces;
}

/** The fence that is open after a line. */
function fenceAfter(content: string, fence: string | undefined): string | undefined {
  if (!fence) return fenceMarker.exec(content)?.[1];
  return content.trim().startsWith(fence) && /^[\s>]*[`~]+\s*$/.test(content) ? undefined : fence;
}

/** How many lines a table that begins at `line` has; 0: none does. */
function tableRows(fileLines: readonly string[], line: number): number {
  if (!tableRow.test(fileLines[line - 1]!) || !delimiterRow.test(fileLines[line] ?? '')) return 0;
  let rows = 2;
  while (tableRow.test(fileLines[line - 1 + rows] ?? '')) rows++;
  return rows;
}

/** How many lines a comment has that begins at `line` and has its lines for itself; 0: none does. */
function commentLines(fileLines: readonly string[], line: number): number {
  if (!/^ {0,3}<!--/.test(fileLines[line - 1]!)) return 0;
  for (let last = line; last <= fileLines.length; last++) {
    const end = fileLines[last - 1]!.indexOf(
      '-->',
      last === line ? fileLines[line - 1]!.indexOf('<!--') + 4 : 0,
    );
    if (end !== -1) return fileLines[last - 1]!.slice(end + 3).trim() === '' ? last - line + 1 : 0;
  }
  return fileLines.length - line + 1; // It is not closed: CommonMark lets it run to the end.
}
