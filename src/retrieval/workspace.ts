/** Where the index of a folder lies. */
import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { userCacheFolder } from '../checkpoint/userCache.ts';
import { UserError } from '../protocol/errors.ts';

/**
 * The index file of a workspace folder for the command line: in the user's cache folder, not in the workspace, named
 * after the folder's real path.
 * @throws UserError if the folder does not exist
 */
export function defaultIndexFile(workspaceFolder: string): string {
  let real: string;
  try {
    real = realpathSync(workspaceFolder);
  } catch {
    throw new UserError(`The folder ${workspaceFolder} does not exist.`);
  }
  const key = createHash('sha256').update(real).digest('hex').slice(0, 12);
  const name = basename(real).replace(/[^\p{L}\p{N}._-]/gu, '_');
  return join(userCacheFolder(), `${name}-${key}.sqlite`);
}
