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

/** The line, from 1, of a character of `text`. */
export function lineCounter(text: string): (offset: number) => number {
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  };
}

/** The same block `by` lines further down. */
export function shifted(block: Block, by: number): Block {
  if (by === 0) return block;
  const moved: Block = { ...block, lines: block.lines.map((line) => line + by) };
  if (block.children) moved.children = block.children.map((child) => shifted(child, by));
  return moved;
}

/** Adds to the end of a list; `push(...more)` fails where there is very much more. */
export function append<T>(list: T[], more: Iterable<T>): void {
  for (const item of more) list.push(item);
}
