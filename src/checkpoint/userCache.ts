/** Where everything lies that can be made again: prepared weights, trained adapters, indexes of the command line. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The project's folder in the user's cache folder: `LOCALAPPDATA` on Windows, else `XDG_CACHE_HOME` or ~/.cache. */
export function userCacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const caches =
    process.platform === 'win32'
      ? (env['LOCALAPPDATA'] ?? join(homedir(), 'AppData', 'Local'))
      : (env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'));
  return join(caches, 'spring-rag');
}
