/**
 * Which files of models the engine processes of a window are opening, noted on disk so that it outlives a process. What
 * was being opened when a process ended has ended it; a file that did so twice is not opened a third time.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../protocol/errors.ts';
import { Turns } from './turns.ts';

/** Processes that a file may end before it is not opened any more. */
const mostEnded = 2;

/** A note lies in a file of its own, named by a hash of the path and of what tells a changed file from the old one. */
interface Note {
  path: string;
  /** Processes that ended while they opened it. */
  ended: number;
  /** The process that is opening it; absent between two tries. */
  openedBy?: number;
}

let notesFolder: string | undefined;
const turns = new Turns();

/** Notes are taken in this folder from now on. The command line takes none: there a crash is told at once. */
export function noteOpenFiles(folder: string | undefined): void {
  notesFolder = folder;
}

/**
 * Opens a file or a folder of a model, one at a time so that a process that ends leaves one note.
 * @throws UserError for what ended two processes, unless it has changed since
 */
export async function whileOpening<Result>(path: string, open: () => Promise<Result>): Promise<Result> {
  const folder = notesFolder;
  if (folder === undefined) return open();
  return turns.take(undefined, async () => {
    const file = join(folder, noteName(path));
    const ended = readNote(file)?.ended ?? 0;
    if (ended >= mostEnded) {
      throw new UserError(
        `${path} ended the engine ${mostEnded} times while it was opened, so it is not opened again. Replace the ` +
          'file, or choose "SPRING: Restart Engine" to try it once more.',
      );
    }
    write(file, { path, ended, openedBy: process.pid });
    try {
      return await open();
    } finally {
      if (ended === 0) rmSync(file, { force: true });
      else write(file, { path, ended });
    }
  });
}

/** Counts what a process that has ended left open. @returns the paths */
export function blameOpenFiles(folder: string, processId: number | undefined): string[] {
  const blamed: string[] = [];
  for (const name of namesIn(folder)) {
    const file = join(folder, name);
    const note = readNote(file);
    if (note?.openedBy !== processId || note === undefined) continue;
    write(file, { path: note.path, ended: note.ended + 1 });
    blamed.push(note.path);
  }
  return blamed;
}

/** Everything may be opened again. */
export function forgetOpenFiles(folder: string): void {
  for (const name of namesIn(folder)) rmSync(join(folder, name), { force: true });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.json'));
  } catch {
    return []; // Somebody has tidied the temporary folder: then nothing is known.
  }
}

function noteName(path: string): string {
  return `${createHash('sha256')
    .update(`${path}\n${versionOf(path)}`)
    .digest('hex')}.json`;
}

/** Changes when the file changes, or an entry of the folder. */
function versionOf(path: string): string {
  try {
    const stats = statSync(path);
    const entries = stats.isDirectory() ? readdirSync(path).map((name) => join(path, name)) : [path];
    return entries
      .map((entry) => statSync(entry, { throwIfNoEntry: false }))
      .map((entry) => `${String(entry?.size)} ${String(entry?.mtimeMs)}`)
      .join();
  } catch {
    return '';
  }
}

function readNote(file: string): Note | undefined {
  try {
    const { path, ended, openedBy } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    if (typeof path !== 'string' || typeof ended !== 'number') return undefined;
    return { path, ended, ...(typeof openedBy === 'number' && { openedBy }) };
  } catch {
    return undefined;
  }
}

/** At once, not when there is time: the process may end before. */
function write(file: string, note: Note): void {
  try {
    writeFileSync(file, JSON.stringify(note));
  } catch {
    // Without a note the file is opened all the same.
  }
}
