/** The passages of a question: from a file, or retrieved from a folder. */
import { readJsonText } from '../checkpoint/textFile.ts';
import type { Passage } from '../protocol/passages.ts';
import { UserError } from '../protocol/errors.ts';
import { passageText } from '../retrieval/passageText.ts';
import { retrievePassages } from '../retrieval/workspace.ts';

/**
 * Reads a passages file: a JSON array of strings or of `{text, path?, startLine?, endLine?}`.
 * @throws UserError that names the entry that is wrong
 */
export async function readPassagesFile(file: string): Promise<Passage[]> {
  const json = await readJsonText(file);
  if (!Array.isArray(json)) throw new UserError(`${file} must hold a JSON array of passages.`);
  return json.map((entry: unknown, index): Passage => {
    const where = `${file}: passage ${index + 1}`;
    if (typeof entry === 'string') return { text: checkedText(entry, where) };
    if (typeof entry !== 'object' || entry === null) {
      throw new UserError(`${where} must be text, or an object with "text", not ${JSON.stringify(entry)}.`);
    }
    const { text, path, startLine, endLine } = entry as Record<string, unknown>;
    if (path !== undefined && typeof path !== 'string') throw new UserError(`${where}: "path" must be text.`);
    for (const line of [startLine, endLine]) {
      if (line !== undefined && !(Number.isInteger(line) && (line as number) > 0)) {
        throw new UserError(`${where}: startLine and endLine must be whole numbers from 1.`);
      }
    }
    return {
      text: checkedText(text, where),
      path,
      startLine: startLine as number | undefined,
      endLine: endLine as number | undefined,
    };
  });
}

/** The best passages of a folder's documents, with their headings, as a prompt shows them. */
export async function retrieveFromWorkspace(
  folder: string,
  question: string,
  top: number,
  signal: AbortSignal,
): Promise<{ passages: Passage[]; notices: string[] }> {
  const { hits, notices } = await retrievePassages(folder, question, top, { signal });
  const passages = hits.map((hit) => {
    const { path, startLine, endLine, score } = hit;
    return { text: passageText(hit), path, startLine, endLine, score };
  });
  return { passages, notices };
}

function checkedText(text: unknown, where: string): string {
  if (typeof text !== 'string')
    throw new UserError(`${where} has no text: expected a string, found ${typeof text}.`);
  if (text.trim() === '') throw new UserError(`${where} is empty.`);
  return text;
}
