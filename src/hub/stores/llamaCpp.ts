/** llama.cpp's cache: GGUF files side by side, or, in newer versions, the layout of the Hub's cache. */
import { isAbsolute, join } from 'node:path';
import { modelsOfHubCache } from './hubCache.ts';
import { modelsOfFolder } from './store.ts';
import type { ModelStore, StoreEnvironment } from './store.ts';

export const llamaCpp: ModelStore = {
  id: 'llama.cpp',
  title: 'llama.cpp',
  async list(environment) {
    const folder = cacheFolder(environment);
    // Not below: there lie the repositories of the Hub's layout, which have names of their own.
    return [...(await modelsOfFolder('llama.cpp', folder, 0)), ...(await modelsOfHubCache(folder))];
  },
};

/** `LLAMA_CACHE`, else `llama.cpp` in the system's place for caches. */
function cacheFolder({ home, variables, platform }: StoreEnvironment): string {
  const named = variables['LLAMA_CACHE']?.trim() ?? '';
  if (named !== '') return named;
  if (platform === 'darwin') return join(home, 'Library', 'Caches', 'llama.cpp');
  const system = variables[platform === 'win32' ? 'LOCALAPPDATA' : 'XDG_CACHE_HOME'] ?? '';
  const standard = platform === 'win32' ? join(home, 'AppData', 'Local') : join(home, '.cache');
  return join(isAbsolute(system) ? system : standard, 'llama.cpp');
}
