/** PDF, by pdf.js. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { getDocumentProxy } from 'unpdf';
import { messageOf } from '../../protocol/errors.ts';
import { append, type Block, type ParsedDocument } from './blocks.ts';
import { withoutMissingPages } from './pdfPageTree.ts';
import { DocumentProblem } from './problem.ts';

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
 * than the text's are headings. `lines` counts pages, since the file has no lines. Of a file with damaged pages the
 * others are read.
 * @throws DocumentProblem if the file is damaged, protected by a password or a scan without text
 */
export async function parsePdf(bytes: Uint8Array): Promise<ParsedDocument> {
  let { lines, damaged, count } = await readPages(bytes);
  const repaired = damaged.length > 0 ? withoutMissingPages(bytes) : undefined;
  if (repaired) {
    const { pages, missing } = repaired;
    const again = await readPages(repaired.bytes);
    const numberOf = (page: number) => pages[page - 1] ?? page;
    lines = again.lines.map((line) => ({ ...line, page: numberOf(line.page) }));
    damaged = [...again.damaged.map(numberOf), ...missing].sort((one, other) => one - other);
    count = pages.length + missing.length;
  }
  const unreadable = damaged.length > 0 ? [damagedPages(damaged, count)] : undefined;
  if (lines.length === 0) {
    throw unreadable
      ? new DocumentProblem('damaged', unreadable[0]!)
      : new DocumentProblem('noText', 'is a PDF without text (perhaps scanned pages)');
  }
  return { blocks: paragraphs(lines), ...(unreadable && { unreadable }) };
}

/** The lines of all pages that can be read, and the numbers of the others. */
async function readPages(bytes: Uint8Array): Promise<{ lines: PdfLine[]; damaged: number[]; count: number }> {
  let document: PdfDocument;
  try {
    // A copy: the library takes the buffer away. It warns (1) of what it leaves out; see `hearing`.
    const options = { verbosity: 1, cMapUrl: characterMaps(), cMapPacked: true };
    document = (await hearing(() => getDocumentProxy(new Uint8Array(bytes), options))).result;
  } catch (error) {
    const reason = messageOf(error);
    if (/password/i.test(reason)) throw new DocumentProblem('protected', 'is protected by a password');
    throw new DocumentProblem('damaged', `is not a readable PDF (${reason})`);
  }
  try {
    const lines: PdfLine[] = [];
    const damaged: number[] = [];
    for (let page = 1; page <= document.numPages; page++) {
      try {
        const { result, warnings } = await hearing(() => pageLines(document, page));
        append(lines, result);
        // Where the content cannot be unpacked, the library takes the page for an empty one.
        if (result.length === 0 && warnings.some((text) => /invalid stream/i.test(text))) damaged.push(page);
      } catch {
        damaged.push(page);
      }
    }
    return { lines, damaged, count: document.numPages };
  } finally {
    await document.loadingTask.destroy();
  }
}

/** What pdf.js, which has no other way to say it, warns of on the console meanwhile. Nothing else runs in this process. */
async function hearing<T>(work: () => Promise<T>): Promise<{ result: T; warnings: string[] }> {
  const warnings: string[] = [];
  const { warn, log } = console;
  console.warn = console.log = (text: unknown) => {
    if (warnings.length < 100) warnings.push(String(text));
  };
  try {
    return { result: await work(), warnings };
  } finally {
    Object.assign(console, { warn, log });
  }
}

/** "pages 2, 5 to 7 of 9 are damaged". */
function damagedPages(pages: readonly number[], count: number): string {
  const runs: [first: number, last: number][] = [];
  for (const page of pages) {
    const run = runs.at(-1);
    if (run?.[1] === page - 1) run[1] = page;
    else runs.push([page, page]);
  }
  const named = runs
    .slice(0, 5)
    .map(([first, last]) => (first === last ? `${first}` : `${first} to ${last}`));
  if (runs.length > 5) named.push('…');
  return pages.length === 1
    ? `page ${pages[0]} of ${count} is damaged`
    : `pages ${named.join(', ')} of ${count} are damaged`;
}

/**
 * The folder, with '/' at its end, of Adobe's tables of Chinese, Japanese and Korean character codes: fonts that name
 * one of them say nothing else of what their codes mean. As a package, or copied beside the bundle.
 */
function characterMaps(): string {
  const names = ['../../../node_modules/pdfjs-dist/cmaps/', './cmaps/', '../cmaps/'];
  const folders = names.map((name) => fileURLToPath(new URL(name, import.meta.url)));
  return folders.find((folder) => existsSync(folder)) ?? folders[0]!;
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
