/** Throw-away workspaces for tests. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { IndexSettings } from '../../../src/retrieval/settings.ts';
import type { IndexProgress } from '../../../src/retrieval/types.ts';
import { openIndex, type WorkspaceIndex } from '../../../src/retrieval/workspaceIndex.ts';

export class TestWorkspace {
  readonly top = realpathSync(mkdtempSync(join(tmpdir(), 'spring-index-')));
  readonly folder = join(this.top, 'workspace');
  readonly indexFile = join(this.top, 'index.sqlite');

  constructor(files: Readonly<Record<string, string | Uint8Array>> = {}) {
    mkdirSync(this.folder);
    for (const [path, content] of Object.entries(files)) this.write(path, content);
  }

  path(path: string): string {
    return join(this.folder, path);
  }

  write(path: string, content: string | Uint8Array): void {
    mkdirSync(dirname(this.path(path)), { recursive: true });
    writeFileSync(this.path(path), content);
  }

  remove(path: string): void {
    rmSync(this.path(path), { recursive: true });
  }

  open(settings: Partial<IndexSettings> = {}): WorkspaceIndex {
    return openIndex(this.indexFile, settings);
  }

  async update(index: WorkspaceIndex): Promise<IndexProgress> {
    return lastOf(index.update([this.folder]));
  }

  [Symbol.dispose](): void {
    rmSync(this.top, { recursive: true, force: true });
  }
}

/** The last progress of an update. */
export async function lastOf(updates: AsyncIterable<IndexProgress>): Promise<IndexProgress> {
  let last: IndexProgress | undefined;
  for await (const progress of updates) last = progress;
  return last!;
}

/** path:line of the hits of a query. */
export async function placesOf(index: WorkspaceIndex, query: string, limit = 10): Promise<string[]> {
  const { hits } = await index.search(query, { limit, mode: 'bm25' });
  return hits.map(({ path, startLine }) => `${path}:${startLine}`);
}
