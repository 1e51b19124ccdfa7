/** LM Studio's store: `models/{publisher}/{model}/*.gguf` in its home, or in the folder that its settings name. */
import { readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { modelsOfFolder, readRecord } from './store.ts';
import type { ModelStore, StoreEnvironment } from './store.ts';

export const lmStudio: ModelStore = {
  id: 'lm-studio',
  title: 'LM Studio',
  async list(environment) {
    const folders = await modelFolders(environment);
    return (await Promise.all(folders.map((folder) => modelsOfFolder('lm-studio', folder, 4)))).flat();
  },
};

async function modelFolders({ home }: StoreEnvironment): Promise<string[]> {
  const pointer = await readFile(join(home, '.lmstudio-home-pointer'), 'utf8').catch(() => '');
  const homes = [pointer.trim(), join(home, '.lmstudio'), join(home, '.cache', 'lm-studio')];
  const folders: string[] = [];
  for (const folder of homes.filter(isAbsolute)) {
    const settings = await readRecord(join(folder, 'settings.json'));
    const chosen = settings?.['downloadsFolder'];
    if (typeof chosen === 'string' && isAbsolute(chosen)) folders.push(chosen);
    folders.push(join(folder, 'models'));
  }
  return [...new Set(folders)];
}
