/** From paths that a watcher reports to walk entries. */
import { lstat, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { throwIfCancelled } from '../../protocol/errors.ts';
import { formatOf, unreadableFormat } from '../documents/formats.ts';
import type { IndexSettings } from '../settings.ts';
import { ignoreFileNames, IgnoreRules } from './ignoreRules.ts';
import { isInside, lookAt, unknownFormat, walkDocuments, type WalkEntry } from './walk.ts';

/** Whether changes of these files can change what belongs to the index elsewhere: then everything is looked at. */
export function needsFullWalk(files: readonly string[]): boolean {
  return files.some((file) => ignoreFileNames.includes(basename(file)));
}

/**
 * The documents at or below changed paths.
 * @param paths relative to the root, with '/'
 * @param onGone called for a path at which there is no document any more, nor a folder
 */
export async function* changedDocuments(
  root: string,
  paths: readonly string[],
  settings: IndexSettings,
  onGone: (path: string) => Promise<void>,
  signal?: AbortSignal,
): AsyncGenerator<WalkEntry> {
  for (const path of new Set(paths)) {
    throwIfCancelled(signal);
    const file = join(root, path);
    const stats = await stat(file).catch(() => undefined);
    const rules = await rulesAbove(root, path, settings);
    const format = formatOf(path, settings.sourceCode);
    if (
      !stats ||
      !rules ||
      rules.ignores(file, stats.isDirectory()) ||
      (await isLeftOut(root, file, settings))
    )
      await onGone(path);
    else if (stats.isDirectory()) yield* walkDocuments(root, settings, signal, path);
    else if (format && stats.isFile()) yield await lookAt(root, file, format, settings);
    else if (stats.isFile()) {
      const unknown = unreadableFormat(path);
      if (unknown !== undefined) yield { problem: unknownFormat(root, file, unknown) };
    }
  }
}

/** As the walk sees links: what they lead to inside the folder is found where it lies, the rest is the user's choice. */
async function isLeftOut(root: string, file: string, { followLinks }: IndexSettings): Promise<boolean> {
  let link = false;
  for (let path = file; path !== root && !link; path = dirname(path)) {
    link = (await lstat(path).catch(() => undefined))?.isSymbolicLink() ?? false;
  }
  return link && (!followLinks || isInside(root, await realpath(file)));
}

/** The rules in the folder of a path; undefined if that folder is ignored. */
export async function rulesAbove(
  root: string,
  path: string,
  settings: IndexSettings,
): Promise<IgnoreRules | undefined> {
  let rules = await IgnoreRules.forRoot(root, settings);
  let folder = root;
  for (const name of path.split('/').slice(0, -1)) {
    folder = join(folder, name);
    if (rules.ignores(folder, true)) return undefined;
    rules = await rules.enter(folder);
  }
  return rules;
}
