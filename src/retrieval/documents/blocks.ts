/** What every document parser produces: blocks in reading order, each line of text with its line in the file. */

export type BlockKind = 'heading' | 'paragraph' | 'listItem' | 'code' | 'table' | 'metadata';

export interface Block {
  kind: BlockKind;
  /** Lines joined by '\n'. In line-based formats these are the file's own lines, markup included. */
  text: string;
  /** For each line of `text` its line in the file, from 1, never decreasing. (PDF: the page. DOCX: the paragraph.) */
  lines: number[];
  /** Headings only: 1 is the highest. */
  level?: number;
  /** Headings only: the heading's text without markup. */
  title?: string;
  /** The parts that may stand alone when the block is too long for one chunk. */
  children?: Block[];
}

export interface ParsedDocument {
  /** A title stated outside the text (front matter, HTML <title>, PDF metadata). */
  title?: string;
  blocks: Block[];
  /** Parts that could not be read, each a clause: "page 2 is damaged". */
  unreadable?: string[];
  /** That there is nothing to read is no fault of the file: an empty notebook, source code without comments. */
  isEmpty?: boolean;
}

/** The block made of the lines `first`..`last` (from 1, both included) of a file. */
export function blockOfLines(
  kind: BlockKind,
  fileLines: readonly string[],
  first: number,
  last: number,
): Block {
  const texts = fileLines.slice(first - 1, last);
  return { kind, text: texts.join('\n'), lines: texts.map((_, index) => first + index) };
}

/** The same, without blank lines at its ends; undefined if nothing is left. */
export function trimmedBlock(
  kind: BlockKind,
  fileLines: readonly string[],
  first: number,
  last: number,
): Block | undefined {
  while (first <= last && fileLines[first - 1]!.trim() === '') first++;
  while (last >= first && fileLines[last - 1]!.trim() === '') last--;
  return first > last ? undefined : blockOfLines(kind, fileLines, first, last);
}
