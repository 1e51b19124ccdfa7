/** Which files are documents, and which parser reads them. */
import { extname, posix } from 'node:path';
import type { ParsedDocument } from './blocks.ts';
import { declaredEncoding, decodeText } from './decode.ts';
import { commentStyleOf } from './commentStyles.ts';
import { DocumentProblem } from './problem.ts';

export type DocumentFormat =
  | 'markdown'
  | 'plainText'
  | 'reStructuredText'
  | 'asciiDoc'
  | 'html'
  | 'notebook'
  | 'sourceCode'
  | 'pdf'
  | 'docx';

/** Raised when a parser or the chunker changes what it makes of a file: documents of older versions are re-read. */
export const parserVersion = 2;

const formatsByExtension: Readonly<Record<string, DocumentFormat>> = {
  '.md': 'markdown',
  '.markdown': 'markdown',
  '.mdx': 'markdown',
  '.mkd': 'markdown',
  '.txt': 'plainText',
  '.text': 'plainText',
  '.log': 'plainText',
  '.rst': 'reStructuredText',
  '.rest': 'reStructuredText',
  '.adoc': 'asciiDoc',
  '.asciidoc': 'asciiDoc',
  '.asc': 'asciiDoc',
  '.html': 'html',
  '.htm': 'html',
  '.xhtml': 'html',
  '.ipynb': 'notebook',
  '.pdf': 'pdf',
  '.docx': 'docx',
};

/** Names without an extension that are texts by custom. */
const plainNames =
  /^(?:readme|licen[cs]e|changelog|changes|news|authors|contributing|copying|install|notice|todo)$/i;

/** The format of a file by its name, or undefined if it is not a document. `path` may be relative. */
export function formatOf(path: string, includeSourceCode: boolean): DocumentFormat | undefined {
  const name = posix.basename(path);
  const format = formatsByExtension[extname(name).toLowerCase()];
  if (format) return format;
  if (plainNames.test(name)) return 'plainText';
  return includeSourceCode && commentStyleOf(name) ? 'sourceCode' : undefined;
}

/** Documents that people keep and that cannot be read here, by what they can be saved as. */
const unreadableFormats: readonly (readonly [extensions: string, saveAs: string])[] = [
  ['.doc .docm .dotx .odt .rtf .pages .wpd .hwp', '.docx or .pdf'],
  ['.ppt .pptx .odp .xls .xlsx .ods .djvu .xps .chm', '.pdf'],
  ['.epub .mobi .azw3 .fb2', '.html or .pdf'],
  ['.tex .org .textile .mediawiki .creole .pod', '.md'],
];

/** Why a document of this name cannot be read, or undefined if it is a format that is known, or no document. */
export function unreadableFormat(path: string): string | undefined {
  const extension = extname(posix.basename(path)).toLowerCase();
  if (extension === '') return undefined;
  const found = unreadableFormats.find(([extensions]) => extensions.split(' ').includes(extension));
  return found && `is a ${extension} file, which cannot be read; save it as ${found[1]}`;
}

/** Formats that hold pictures or fonts beside their text have a limit of their own. */
export function holdsMedia(format: DocumentFormat): boolean {
  return format === 'pdf' || format === 'docx' || format === 'notebook';
}

/**
 * The blocks of a file. Parsers are imported when first needed: a workspace without PDF never loads a PDF library.
 * @throws DocumentProblem if the bytes are not what the file's name promises.
 */
export async function parseDocument(
  format: DocumentFormat,
  name: string,
  bytes: Uint8Array,
): Promise<ParsedDocument> {
  if (format === 'pdf') return (await import('./pdf.ts')).parsePdf(bytes);
  if (format === 'docx') return (await import('./docx.ts')).parseDocx(bytes);
  const text = decodeText(bytes, declaredEncoding(bytes, format === 'html'));
  if (text === undefined) throw new DocumentProblem('damaged', 'is binary, not text');
  return parseText(format, name, text);
}

async function parseText(
  format: Exclude<DocumentFormat, 'pdf' | 'docx'>,
  name: string,
  text: string,
): Promise<ParsedDocument> {
  switch (format) {
    case 'markdown':
      return (await import('./markdown.ts')).parseMarkdown(text);
    case 'plainText':
      return (await import('./plainText.ts')).parsePlainText(text);
    case 'reStructuredText':
      return (await import('./restructuredText.ts')).parseRestructuredText(text);
    case 'asciiDoc':
      return (await import('./asciidoc.ts')).parseAsciidoc(text);
    case 'html':
      return (await import('./html.ts')).parseHtml(text);
    case 'notebook':
      return (await import('./notebook.ts')).parseNotebook(text);
    case 'sourceCode':
      return (await import('./sourceCode.ts')).parseSourceCode(name, text);
  }
}
