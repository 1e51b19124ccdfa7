/** Finding the documents of a workspace folder. */
import type { Dirent, Stats } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, sep } from 'node:path';
import { throwIfCancelled } from '../../protocol/errors.ts';
import { formatOf, holdsMedia, unreadableFormat, type DocumentFormat } from '../documents/formats.ts';
import type { IndexSettings } from '../settings.ts';
import { IgnoreRules, toSlashes } from './ignoreRules.ts';
import { problemOf, type DocumentFailure } from './reasons.ts';

/** A file that is a document by its name and not ignored. */
export interface FoundFile {
  /** Relative to the workspace folder, with '/'. */
  path: string;
  /** Absolute. */
  file: string;
  format: DocumentFormat;
  size: number;
  /** Milliseconds since 1970, with fractions. */
  mtime: number;
  ctime: number;
}

/** Something that could not be read, or a document that is too large; the walk goes on. */
export interface FoundProblem extends DocumentFailure {
  path: string;
  /** A folder that could not be listed: what is known of the files below it stays. */
  isFolder: boolean;
}

export type WalkEntry = { found: FoundFile } | { problem: FoundProblem };

/**
 * The documents of a workspace folder, in a fixed order. Symbolic links are followed after everything else, and each
 * real folder and file is visited once, so loops end and nothing is indexed twice. With the setting `followLinks` off
 * nothing outside the folder is looked at.
 * @param root a real path
 * @param below a relative path: only what lies in this folder
 */
export async function* walkDocuments(
  root: string,
  settings: IndexSettings,
  signal?: AbortSignal,
  below = '',
): AsyncGenerator<WalkEntry> {
  const visited = new Set<string>();
  const links: { path: string; rules: IgnoreRules }[] = [];
  const pending: { folder: string; rules: IgnoreRules }[] = [];

  const listFolder = async function* (folder: string, rules: IgnoreRules): AsyncGenerator<WalkEntry> {
    throwIfCancelled(signal);
    let entries: Dirent[];
    try {
      const real = await realpath(folder);
      if (visited.has(real)) return;
      visited.add(real);
      entries = await readdir(folder, { withFileTypes: true });
    } catch (error) {
      yield { problem: { path: relativePath(root, folder), ...problemOf(error), isFolder: true } };
      return;
    }
    entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    const folders: string[] = [];
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (entry.isSymbolicLink()) {
        links.push({ path, rules });
      } else if (entry.isDirectory()) {
        if (!rules.ignores(path, true)) folders.push(path);
      } else if (entry.isFile()) {
        const format = formatOf(entry.name, settings.sourceCode);
        const unknown = format ? undefined : unreadableFormat(entry.name);
        if ((!format && unknown === undefined) || rules.ignores(path, false)) continue;
        if (format) yield await lookAt(root, path, format, settings);
        else yield { problem: unknownFormat(root, path, unknown!) };
      }
    }
    for (const path of folders.reverse()) pending.push({ folder: path, rules: await rules.enter(path) });
  };

  let rules = await IgnoreRules.forRoot(root, settings);
  let folder = root;
  for (const name of below.split('/').filter((part) => part !== '')) {
    folder = join(folder, name);
    rules = await rules.enter(folder);
  }
  pending.push({ folder, rules });
  for (;;) {
    const next = pending.pop();
    if (next) {
      yield* listFolder(next.folder, next.rules);
      continue;
    }
    const link = links.shift();
    if (!link) return;
    let target: string;
    let stats: Stats;
    try {
      target = await realpath(link.path);
      stats = await stat(target);
    } catch {
      continue; // A link that leads nowhere is no document.
    }
    const format = formatOf(link.path, settings.sourceCode);
    if (!settings.followLinks || visited.has(target) || isInside(root, target)) continue;
    if (link.rules.ignores(link.path, stats.isDirectory())) continue;
    if (stats.isDirectory()) {
      pending.push({ folder: link.path, rules: await link.rules.enter(link.path) });
    } else if (stats.isFile() && format) {
      visited.add(target);
      yield await lookAt(root, link.path, format, settings);
    }
  }
}

/** Size and times of one document, or why it is left out. */
export async function lookAt(
  root: string,
  file: string,
  format: DocumentFormat,
  settings: IndexSettings,
): Promise<WalkEntry> {
  const path = relativePath(root, file);
  try {
    const stats = await stat(file);
    const limit = holdsMedia(format) ? settings.maxMediaBytes : settings.maxTextBytes;
    if (stats.size > limit) {
      const reason = `has ${stats.size} bytes, more than the limit of ${limit}`;
      return { problem: { path, kind: 'tooLarge', reason, isFolder: false } };
    }
    return { found: { path, file, format, size: stats.size, mtime: stats.mtimeMs, ctime: stats.ctimeMs } };
  } catch (error) {
    return { problem: { path, ...problemOf(error), isFolder: false } };
  }
}

/** A document of a kind that cannot be read. @param reason what it is and what to do */
export function unknownFormat(root: string, file: string, reason: string): FoundProblem {
  return { path: relativePath(root, file), kind: 'unknownFormat', reason, isFolder: false };
}

/** A file inside the root is found (or ignored) where it lies; only links that lead out of it add something. */
export function isInside(root: string, target: string): boolean {
  const path = relative(root, target);
  return path === '' || (!isAbsolute(path) && path.split(sep)[0] !== '..');
}

function relativePath(root: string, path: string): string {
  return toSlashes(relative(root, path));
}
