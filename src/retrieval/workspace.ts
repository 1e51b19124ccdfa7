/** Retrieval from a folder in one call, and where the index of a folder lies. */
import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { userCacheFolder } from '../checkpoint/userCache.ts';
import { UserError } from '../protocol/errors.ts';
import type { SearchOptions, SearchResult } from './search/types.ts';
import type { IndexSettings } from './settings.ts';
import { IndexDamagedError, openIndex, type IndexProgress, type WorkspaceIndex } from './workspaceIndex.ts';

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

export interface RetrieveOptions extends SearchOptions {
  /** Default: defaultIndexFile(workspaceFolder). */
  indexFile?: string;
  /** Replace the settings stored in the index. */
  settings?: Partial<IndexSettings>;
  onProgress?: (progress: IndexProgress) => void;
}

/**
 * The best passages of a folder's documents for a question: brings the folder's index up to date (a first call builds
 * it), then searches. Give `passageText(hit)` of each hit to a prompt.
 * @param top how many passages; the paper uses 3
 * @throws UserError, CancelledError
 */
export async function retrievePassages(
  workspaceFolder: string,
  question: string,
  top: number,
  options: RetrieveOptions = {},
): Promise<SearchResult> {
  const { indexFile, settings, onProgress, ...search } = options;
  using index = openIndex(indexFile ?? defaultIndexFile(workspaceFolder), settings);
  for await (const progress of index.update([workspaceFolder], search)) onProgress?.(progress);
  return await searchRepaired(index, [workspaceFolder], question, { ...search, limit: top });
}

/** Searches; an index that proves to be damaged is first built anew from its folders. */
export async function searchRepaired(
  index: WorkspaceIndex,
  folders: readonly string[],
  query: string,
  options: SearchOptions,
): Promise<SearchResult> {
  try {
    return await index.search(query, options);
  } catch (error) {
    if (!(error instanceof IndexDamagedError)) throw error;
    const updates = index.update(folders, { ...(options.signal && { signal: options.signal }) });
    while (!(await updates.next()).done);
    const result = await index.search(query, options);
    return {
      ...result,
      notices: [`The index was started anew: ${index.status().startedAnew}.`, ...result.notices],
    };
  }
}
