/** GGUF files in the Hub's cache: each repository may have several quantisations, spread over its snapshots. */
import { join } from 'node:path';
import { cachedRepositories, commitOf, commitsByAge, folderDepth, repositoryFolder } from '../cache.ts';
import { findFiles } from '../findFiles.ts';
import { ggufChoices, isGgufName, tagOf } from '../ggufNames.ts';
import { missingPartsProblem } from './store.ts';
import type { ModelStore, StoredModel } from './store.ts';

export const hubCache: ModelStore = {
  id: 'hub',
  title: 'Hugging Face Hub',
  list: ({ cacheDir }) => modelsOfHubCache(cacheDir),
};

/** Named `owner/name:TAG`, as they are downloaded. Of equal paths the one of `main` counts, else the newest. */
export async function modelsOfHubCache(cacheDir: string): Promise<StoredModel[]> {
  const models: StoredModel[] = [];
  for (const repository of await cachedRepositories(cacheDir)) {
    const root = repositoryFolder(cacheDir, repository);
    const main = await commitOf(root, 'main');
    const byAge = await commitsByAge(root).catch(() => []);
    const commits = main === undefined ? byAge : [main, ...byAge.filter((commit) => commit !== main)];
    const files = new Map<string, { path: string; folder: string }>();
    for (const commit of commits) {
      const folder = join(root, 'snapshots', commit);
      for (const { path } of await findFiles(folder, folderDepth, isGgufName)) {
        if (!files.has(path)) files.set(path, { path, folder });
      }
    }
    const choices = ggufChoices([...files.values()]);
    for (const choice of choices) {
      const folder = choice.files[0]?.folder ?? '';
      // The parts of a file are opened from one folder.
      const elsewhere = choice.files.some((file) => file.folder !== folder);
      models.push({
        name: `${repository}:${tagOf(choice, choices)}`,
        path: join(folder, choice.path),
        ...(elsewhere
          ? { problem: 'Its parts belong to different versions of the repository: download it again.' }
          : missingPartsProblem(choice)),
      });
    }
  }
  return models;
}
