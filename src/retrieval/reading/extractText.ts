/** The whole text of one document, to be shown. */
import { join } from 'node:path';
import type { DocumentLine } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import { formatOf } from '../documents/formats.ts';
import { DocumentProblem } from '../documents/problem.ts';
import type { DocumentReader } from './documentReader.ts';

/**
 * The lines of a PDF or Word document, read within the limits of every document.
 * @param path relative to the folder
 * @throws UserError if the file is another kind of document, or cannot be read; CancelledError
 */
export async function extractText(
  reader: DocumentReader,
  folder: string,
  path: string,
  signal?: AbortSignal,
): Promise<{ lines: DocumentLine[] }> {
  const format = formatOf(path, false);
  if (format !== 'pdf' && format !== 'docx') {
    throw new UserError(`${path} is no PDF and no Word document: its text is the file itself.`);
  }
  try {
    const source = { file: join(folder, path) };
    const { lines = [] } = await reader.read({ format, path, source, chunkWords: 0, asText: true }, signal);
    return { lines };
  } catch (error) {
    if (error instanceof DocumentProblem) throw new UserError(`${path} ${error.message}`, { cause: error });
    throw error;
  }
}
