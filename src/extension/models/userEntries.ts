/**
 * The user's own entries (setting `springRag.models`): checked one by one, so that a wrong one does not take the
 * others with it, and handed to the engine processes in the file that SPRING_MODELS names.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { loadCatalogue } from '../../hub/catalogue.ts';
import { messageOf } from '../../protocol/errors.ts';

export interface CheckedEntries {
  /** The entries that are right, as they were written. */
  entries: unknown[];
  /** One sentence for each that is wrong. */
  problems: string[];
}

/** Sorts out the entries that are wrong. */
export function checkEntries(values: readonly unknown[]): CheckedEntries {
  const entries: unknown[] = [];
  const problems: string[] = [];
  for (const value of values) {
    try {
      loadCatalogue([value]);
      entries.push(value);
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  return { entries, problems };
}

/** The entries of a JSON file, such as the one that SPRING_MODELS names outside VS Code; none if there is none. */
export function readEntries(file: string | undefined): unknown[] {
  if (file === undefined || file === '') return [];
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

/** Writes the entries for the engine processes; a process that reads meanwhile sees the old list or the new one. */
export function writeEntries(file: string, entries: readonly unknown[]): void {
  const temporary = `${file}.${String(process.pid)}`;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(temporary, JSON.stringify(entries, null, 2));
  renameSync(temporary, file);
}
