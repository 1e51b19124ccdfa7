/** Paths of workspace folders and of files in them. */
import { realpath, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve } from 'node:path';
import { UserError } from '../../protocol/errors.ts';
import { toSlashes } from './ignoreRules.ts';

/** The real path of a workspace folder. @throws UserError if it is none */
export async function realFolder(folder: string): Promise<string> {
  const found = await stat(folder).catch(() => undefined);
  if (!found) throw new UserError(`The folder ${folder} does not exist.`);
  if (!found.isDirectory()) throw new UserError(`${folder} is a file; a workspace is a folder.`);
  return realpath(folder);
}

/**
 * A changed file's path in the index; undefined if it is outside the folder.
 * @param root the folder's real path
 */
export function relativePath(root: string, folder: string, file: string): string | undefined {
  for (const base of [root, resolve(folder)]) {
    const path = relative(base, resolve(base, file));
    if (path !== '' && !path.startsWith('..') && !isAbsolute(path)) return toSlashes(path);
  }
  return undefined;
}
