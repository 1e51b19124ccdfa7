/** Cutting a block that is too long for one chunk, keeping for each piece the lines it came from. */
import type { Block } from '../documents/blocks.ts';
import { sizeInWords } from './words.ts';

/** Characters of a text: from `start` up to, not including, `end`. */
type Range = readonly [start: number, end: number];

/**
 * Pieces of `block`, none much larger than `limit` words: its own parts where it has any, else runs of lines (code,
 * tables) or of sentences, of even length; what is still too long is cut between words.
 * @param target the size pieces should have, in words
 */
export function splitBlock(block: Block, target: number, limit: number): Block[] {
  const size = sizeInWords(block.text);
  if (size <= limit) return [block];
  if (block.children && block.children.length > 1) {
    return packBlocks(
      block.children.flatMap((child) => splitBlock(child, target, limit)),
      target,
    );
  }
  const { text } = block;
  const byLine = block.kind === 'code' || block.kind === 'table';
  const parts = (byLine ? lineRanges(text) : sentenceRanges(text)).flatMap((range) =>
    sizeInWords(text.slice(...range)) <= limit ? [range] : wordRanges(text, range, target),
  );
  const even = byLine ? target : Math.ceil(size / Math.max(2, Math.round(size / target)));
  return slices(block, packRanges(text, parts, even));
}

/** Two neighbouring blocks as one; of the blank lines between them one is kept. */
export function joinBlocks(first: Block, second: Block): Block {
  const lastLine = first.lines.at(-1)!;
  const blank = second.lines[0]! - lastLine > 1;
  return {
    kind: first.kind,
    text: `${first.text}${blank ? '\n\n' : '\n'}${second.text}`,
    lines: [...first.lines, ...(blank ? [lastLine + 1] : []), ...second.lines],
  };
}

/** Half of a part may stick out of the target: the piece then ends nearer to it than without the part. */
function fits(size: number, partSize: number, target: number): boolean {
  return size + partSize / 2 <= target;
}

function packBlocks(parts: readonly Block[], target: number): Block[] {
  const packed: Block[] = [];
  let size = 0;
  for (const part of parts) {
    const partSize = sizeInWords(part.text);
    const last = packed.at(-1);
    if (last && fits(size, partSize, target)) {
      packed[packed.length - 1] = joinBlocks(last, part);
      size += partSize;
    } else {
      packed.push(part);
      size = partSize;
    }
  }
  return packed;
}

function packRanges(text: string, parts: readonly Range[], target: number): Range[] {
  const packed: Range[] = [];
  let size = 0;
  for (const part of parts) {
    const partSize = sizeInWords(text.slice(...part));
    const last = packed.at(-1);
    if (last && fits(size, partSize, target)) {
      packed[packed.length - 1] = [last[0], part[1]];
      size += partSize;
    } else {
      packed.push(part);
      size = partSize;
    }
  }
  return packed;
}

const segmenter = new Intl.Segmenter('en', { granularity: 'sentence' });

function sentenceRanges(text: string): Range[] {
  // The segmenter takes a line break for the end of a sentence; wrapped lines are one text to a reader.
  const flat = text.replaceAll('\n', ' ');
  return Array.from(
    segmenter.segment(flat),
    ({ index, segment }) => [index, index + segment.length] as const,
  );
}

function lineRanges(text: string): Range[] {
  const ranges: Range[] = [];
  for (let start = 0; start <= text.length;) {
    const lineBreak = text.indexOf('\n', start);
    const end = lineBreak === -1 ? text.length : lineBreak;
    ranges.push([start, end]);
    start = end + 1;
  }
  return ranges;
}

/** Cuts at spaces, about six characters a word; text without spaces (CJK, data) is cut where it must be. */
function wordRanges(text: string, [first, last]: Range, target: number): Range[] {
  const length = target * 6;
  const ranges: Range[] = [];
  for (let start = first; start < last;) {
    let end = Math.min(last, start + length);
    if (end < last) {
      const space = text.lastIndexOf(' ', end);
      if (space > start + length / 2) end = space;
      else if (/[\uD800-\uDBFF]/.test(text[end - 1]!)) end++;
    }
    ranges.push([start, end]);
    start = end;
  }
  return ranges;
}

/** The characters of each range as a block, without white space at its ends (indentation of code stays). */
function slices(block: Block, ranges: readonly Range[]): Block[] {
  const blank = block.kind === 'code' ? /\n/ : /\s/;
  const pieces: Block[] = [];
  let counted = 0; // The characters before this one have `line` line breaks.
  let line = 0;
  for (let [start, end] of ranges) {
    while (start < end && blank.test(block.text[start]!)) start++;
    while (end > start && /\s/.test(block.text[end - 1]!)) end--;
    if (start === end) continue;
    line += countLineBreaks(block.text.slice(counted, start));
    counted = start;
    const text = block.text.slice(start, end);
    pieces.push({ kind: block.kind, text, lines: block.lines.slice(line, line + 1 + countLineBreaks(text)) });
  }
  return pieces;
}

function countLineBreaks(text: string): number {
  return text.split('\n').length - 1;
}
