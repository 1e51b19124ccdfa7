/** The retriever of documents on this machine: an index in SQLite over their folders. */
import type { Retriever } from './retriever.ts';
import type { SearchOptions, SearchResult } from './search/types.ts';
import type { IndexProgress } from './types.ts';
import { defaultIndexFile } from './workspace.ts';
import { IndexDamagedError, openIndex, type WorkspaceIndex } from './workspaceIndex.ts';

export class LocalRetriever implements Retriever {
  private readonly index: WorkspaceIndex;
  private readonly folders: readonly string[];

  /** @param folders whose documents the index holds */
  constructor(index: WorkspaceIndex, folders: readonly string[]) {
    this.index = index;
    this.folders = folders;
  }

  /**
   * The retriever of a folder on the command line.
   * @throws UserError if the folder does not exist
   */
  static open(folder: string, indexFile = defaultIndexFile(folder)): LocalRetriever {
    return new LocalRetriever(openIndex(indexFile), [folder]);
  }

  /** A first call builds the index. */
  prepare(signal?: AbortSignal): AsyncGenerator<IndexProgress> {
    return this.index.update(this.folders, { ...(signal && { signal }) });
  }

  search(query: string, options: SearchOptions = {}): Promise<SearchResult> {
    return searchRepaired(this.index, this.folders, query, options);
  }

  [Symbol.dispose](): void {
    this.index[Symbol.dispose]();
  }
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
