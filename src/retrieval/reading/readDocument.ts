/** From the bytes of a document to its passages: what the reading process does for one file. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import type { DocumentLine, FileProblemKind } from '../../protocol/engine.ts';
import { chunkDocument, type Chunk } from '../chunks/chunkDocument.ts';
import type { ParsedDocument } from '../documents/blocks.ts';
import { parseDocument, type DocumentFormat } from '../documents/formats.ts';
import { DocumentProblem } from '../documents/problem.ts';

export interface ReadRequest {
  format: DocumentFormat;
  /** Relative path: the file's name is searched with its title. */
  path: string;
  /** Absolute; or the text of an editor with unsaved changes. */
  source: { file: string } | { text: string };
  chunkWords: number;
  /** Its whole text is wanted, not its passages. */
  asText?: boolean;
}

export interface ReadDocument {
  /** Of the file's name and the bytes that were read. */
  hash: string;
  chunks: Chunk[];
  /** With `asText`. */
  lines?: DocumentLine[];
  /** What of the file could not be read, or that there is nothing in it. */
  problem?: { kind: FileProblemKind; reason: string };
}

/** @throws DocumentProblem, or the error of a file operation */
export async function readDocument(request: ReadRequest): Promise<ReadDocument> {
  const { format, path, source, chunkWords } = request;
  const bytes = 'file' in source ? await readFile(source.file) : Buffer.from(source.text);
  const hash = hashOf(path).update(bytes).digest('hex');
  const document = await parseDocument(format, path, bytes).catch((error: unknown) => {
    if (!(error instanceof RangeError)) throw error;
    throw new DocumentProblem('damaged', 'is nested too deeply to be read');
  });
  if (request.asText) return { hash, chunks: [], lines: linesOf(document) };
  const chunks = chunkDocument(document, { chunkWords });
  const lost = document.unreadable ?? [];
  if (chunks.length === 0 && lost.length > 0) throw new DocumentProblem('damaged', lost.join('; '));
  if (lost.length > 0) {
    const more = lost.length > 3 ? ` and ${lost.length - 3} more` : '';
    return { hash, chunks, problem: { kind: 'partlyRead', reason: lost.slice(0, 3).join('; ') + more } };
  }
  if (chunks.length === 0 && !document.isEmpty && bytes.some((byte) => byte > 32)) {
    return { hash, chunks, problem: { kind: 'noText', reason: 'has no text that could be indexed' } };
  }
  return { hash, chunks };
}

/** The text in reading order; a line of its own between blocks where the file has none. */
function linesOf({ blocks }: ParsedDocument): DocumentLine[] {
  return blocks.flatMap(({ text, lines }, index) => {
    const own = text
      .split('\n')
      .map((line, place) => ({ text: line, place: lines[place] ?? lines.at(-1) ?? 1 }));
    return index === 0 ? own : [{ text: '', place: own[0]!.place }, ...own];
  });
}

/** A hash that has the file's name already: it is searched with the title. */
export function hashOf(path: string): ReturnType<typeof createHash> {
  return createHash('sha256').update(`${posix.basename(path)}\0`);
}
