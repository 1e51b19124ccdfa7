import { getDocumentProxy } from 'unpdf';
import { messageOf, UserError } from '../../protocol/errors.ts';
import type { Block, ParsedDocument } from './blocks.ts';

type PdfDocument = Awaited<ReturnType<typeof getDocumentProxy>>;

interface PdfLine {
  text: string;
  page: number;
  /** Distance of the base line from the page's bottom, and height of the letters, in points. */
  y: number;
  height: number;
}

/**
 * Paragraphs of a PDF: lines of text, joined until a gap or a change of letter size. Short lines in letters larger
 * than the text's are headings. `lines` counts pages, since the file has no lines.
 * @throws UserError if the file is damaged, protected by a password or a scan without text
 */
export async function parsePdf(bytes: Uint8Array): Promise<ParsedDocument> {
  let document: PdfDocument;
  try {
    // A copy: the library takes the buffer away. Verbosity 0: it would write warnings to the console.
    document = await getDocumentProxy(new Uint8Array(bytes), { verbosity: 0 });
  } catch (error) {
    const reason = messageOf(error);
    if (/password/i.test(reason)) throw new UserError('is protected by a password');
    throw new UserError(`is not a readable PDF (${reason})`);
  }
  try {
    const lines: PdfLine[] = [];
    for (let page = 1; page <= document.numPages; page++) lines.push(...(await pageLines(document, page)));
    if (lines.length === 0) throw new UserError('is a PDF without text (perhaps scanned pages)');
    return { blocks: paragraphs(lines) };
  } finally {
    await document.loadingTask.destroy();
  }
}

async function pageLines(document: PdfDocument, pageNumber: number): Promise<PdfLine[]> {
  const page = await document.getPage(pageNumber);
  const { items } = await page.getTextContent();
  page.cleanup();
  const lines: PdfLine[] = [];
  let line: PdfLine | undefined;
  for (const item of items) {
    if (!('str' in item)) continue;
    const y = Number(item.transform[5]);
    const height = item.height;
    if (line && height > 0 && Math.abs(y - line.y) > Math.max(height, line.height) * 0.5) line = undefined;
    if (line) {
      line.text += item.str;
      line.height = Math.max(line.height, height);
    } else if (item.str.trim() !== '') {
      line = { text: item.str, page: pageNumber, y, height };
      lines.push(line);
    }
    if (item.hasEOL) line = undefined;
  }
  for (const found of lines) found.text = found.text.replace(/\s+/g, ' ').trim();
  return lines.filter((found) => found.text !== '');
}

function paragraphs(lines: readonly PdfLine[]): Block[] {
  const bodyHeight = commonHeight(lines);
  const isHeading = (line: PdfLine) => line.height > bodyHeight * 1.15 && line.text.split(' ').length <= 15;
  const headingHeights = [...new Set(lines.filter(isHeading).map((line) => Math.round(line.height)))].sort(
    (a, b) => b - a,
  );
  const blocks: Block[] = [];
  let previous: PdfLine | undefined;
  for (const line of lines) {
    const heading = isHeading(line);
    const last = blocks.at(-1);
    const gap = previous ? previous.y - line.y : 0;
    const continues =
      previous !== undefined &&
      last !== undefined &&
      previous.page === line.page &&
      Math.abs(previous.height - line.height) < 1 &&
      gap > 0 &&
      gap < line.height * 1.8;
    if (continues) {
      extend(last, line);
    } else {
      blocks.push({ kind: heading ? 'heading' : 'paragraph', text: line.text, lines: [line.page] });
      if (heading) blocks.at(-1)!.level = Math.min(6, headingHeights.indexOf(Math.round(line.height)) + 1);
    }
    const block = blocks.at(-1)!;
    if (block.kind === 'heading') block.title = block.text.replaceAll('\n', ' ');
    previous = line;
  }
  return blocks;
}

/** Adds a line; a word divided at the line's end is made whole. */
function extend(block: Block, line: PdfLine): void {
  if (/\p{Ll}-$/u.test(block.text) && /^\p{Ll}/u.test(line.text)) {
    block.text = block.text.slice(0, -1) + line.text;
  } else {
    block.text += `\n${line.text}`;
    block.lines.push(line.page);
  }
}

/** The height in which most letters are set. */
function commonHeight(lines: readonly PdfLine[]): number {
  const letters = new Map<number, number>();
  for (const line of lines) letters.set(line.height, (letters.get(line.height) ?? 0) + line.text.length);
  return [...letters].sort((a, b) => b[1] - a[1])[0]![0];
}
