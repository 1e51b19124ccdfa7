import { trimmedBlock, type Block, type ParsedDocument } from './blocks.ts';

/** Paragraphs of a plain text: runs of lines between blank lines; lines with bullets are list items. */
export function parsePlainText(text: string): ParsedDocument {
  const fileLines = text.split('\n');
  return { blocks: paragraphBlocks(fileLines, 1, fileLines.length) };
}

const bullet = /^\s*(?:[-*+•]|\d{1,3}[.)])\s+\S/;

/** Paragraphs and list items of the lines `first`..`last` (from 1, both included). */
export function paragraphBlocks(fileLines: readonly string[], first: number, last: number): Block[] {
  const blocks: Block[] = [];
  let start = first;
  const close = (end: number) => {
    const block = trimmedBlock(
      bullet.test(fileLines[start - 1] ?? '') ? 'listItem' : 'paragraph',
      fileLines,
      start,
      end,
    );
    if (block) blocks.push(block);
    start = end + 1;
  };
  for (let line = first; line <= last; line++) {
    const content = fileLines[line - 1]!;
    if (content.trim() === '') close(line);
    else if (line > start && bullet.test(content)) close(line - 1);
  }
  close(last);
  return blocks;
}
