/** The text of a PDF or Word document as lines to read, and where in it a passage stands. */
import type { Passage } from '../../protocol/passages.ts';
import type { DocumentLine } from '../../protocol/engine.ts';

/** Documents that an editor shows as bytes. */
export function isBinaryDocument(path: string): boolean {
  return /\.(pdf|docx)$/i.test(path);
}

/** Characters that a part of a line must have to be told from any other line. */
const shortestPart = 12;

/** The document as an editor shows it. Pages of a PDF have a line with their number above them. */
export interface ExtractedText {
  text: string;
  /** By line of `text`, from 0: the page or paragraph that it is of. */
  places: number[];
}

/** Lays the lines out. */
export function extractedText(path: string, lines: readonly DocumentLine[]): ExtractedText {
  const ofPages = /\.pdf$/i.test(path);
  const texts: string[] = [];
  const places: number[] = [];
  const add = (text: string, place: number): void => {
    texts.push(text);
    places.push(place);
  };
  let last = 0;
  for (const { text, place } of lines) {
    if (ofPages && place !== last) {
      if (last !== 0) add('', last);
      add(`――― Page ${place} ―――`, place);
    }
    last = place;
    add(text, place);
  }
  return { text: texts.join('\n'), places };
}

/**
 * The lines of a passage in the text, from 0, both included: those between its first and its last own line, and where
 * these are not found, its pages or paragraphs.
 */
export function passageLines(
  { text, places }: ExtractedText,
  { text: passage, startLine = 1, endLine = startLine }: Pick<Passage, 'text' | 'startLine' | 'endLine'>,
): { first: number; last: number } {
  const lines = text.split('\n').map(bare);
  const from = Math.max(
    0,
    places.findIndex((place) => place >= startLine),
  );
  const after = places.findIndex((place) => place > endLine);
  const to = after < 0 ? lines.length : after;
  // The sections above the passage stand before its own text, as headings.
  const all = passage.split('\n').filter((line) => line.trim() !== '');
  const body = all.filter((line) => !/^#{1,6} /.test(line));
  const own = (body.length > 0 ? body : all).map(bare);
  const inside = lines.slice(from, to);
  const firstOwn = inside.findIndex((line) => isSame(line, own[0] ?? ''));
  if (firstOwn < 0) return { first: from, last: Math.max(from, to - 1) };
  const lastOwn = inside.findLastIndex((line) => isSame(line, own.at(-1)!));
  return { first: from + firstOwn, last: from + Math.max(firstOwn, lastOwn) };
}

/** A passage may begin or end inside a line. */
function isSame(line: string, wanted: string): boolean {
  if (line === wanted) return line !== '';
  const shorter = Math.min(line.length, wanted.length);
  return shorter >= shortestPart && (line.includes(wanted) || wanted.includes(line));
}

/** Without marks of headings and the white space that passages do not keep. */
function bare(line: string): string {
  return line.replace(/^#+ /, '').replace(/\s+/g, ' ').trim();
}
