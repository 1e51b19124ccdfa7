/** The index of a workspace: the public face of this folder. */
import { realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { messageOf, throwIfCancelled, UserError } from '../protocol/errors.ts';
import type { Passage } from '../protocol/passages.ts';
import type { Embedder } from './embedding/embedder.ts';
import { changedDocuments, needsFullWalk } from './files/changes.ts';
import { toSlashes } from './files/ignoreRules.ts';
import { walkDocuments, type WalkEntry } from './files/walk.ts';
import { embedChunks } from './index/embedChunks.ts';
import { openDatabase } from './index/schema.ts';
import { IndexStore } from './index/store.ts';
import { updateFolder } from './index/update.ts';
import type { FileProblem, IndexProgress, IndexStatus } from './types.ts';
import { VectorTable } from './index/vectors.ts';
import { waitForWriting } from './index/writerLock.ts';
import { searchChunks, type VectorSearch } from './search/search.ts';
import type { SearchOptions, SearchResult } from './search/types.ts';
export type { IndexProgress, IndexStatus } from './types.ts';
import { checkSettings, defaultSettings, type IndexSettings } from './settings.ts';

/**
 * Opens the index in a database file, creating it if need be. Several processes may have it open.
 * @param settings those given replace the stored ones; an index that is new takes defaults for the rest
 * @throws UserError if the file cannot be used or a setting makes no sense
 */
export function openIndex(file: string, settings: Partial<IndexSettings> = {}): WorkspaceIndex {
  const { database, startedAnew } = openDatabase(file);
  try {
    return new WorkspaceIndex(resolve(file), new IndexStore(database), settings, startedAnew);
  } catch (error) {
    database.close();
    throw error;
  }
}

export class WorkspaceIndex {
  readonly file: string;
  readonly #store: IndexStore;
  readonly #startedAnew: string | undefined;
  /** Unsaved texts of open editors, by absolute path. */
  readonly #openTexts = new Map<string, string>();
  readonly #vectors: VectorTable;
  #embedder: Promise<Embedder> | undefined;
  #settings: IndexSettings;

  constructor(file: string, store: IndexStore, settings: Partial<IndexSettings>, startedAnew?: string) {
    this.file = file;
    this.#store = store;
    this.#startedAnew = startedAnew;
    this.#vectors = new VectorTable(store);
    store.onChunkDeleted = (id) => this.#vectors.remove(id);
    this.#settings = { ...this.#storedSettings(), ...withoutUndefined(settings) };
    checkSettings(this.#settings);
  }

  get settings(): Readonly<IndexSettings> {
    return this.#settings;
  }

  /**
   * Makes the index agree with the files of `folders`; files of other folders leave it. Files that did not change
   * cost a stat. It may be cancelled or killed at any moment and goes on from there the next time. While another
   * process updates the same index it waits. Yields progress at least after every half second of work.
   * @param options.rebuild forget everything first
   * @throws CancelledError; UserError if a folder does not exist
   */
  async *update(
    folders: readonly string[],
    options: { signal?: AbortSignal; rebuild?: boolean } = {},
  ): AsyncGenerator<IndexProgress> {
    const roots = [...new Set(await Promise.all(folders.map(realFolder)))];
    yield* this.#locked(options.signal, async function* (index, progress) {
      if (options.rebuild) index.#clear();
      index.#forgetOtherFolders(roots);
      for (const folder of roots) {
        const entries = walkDocuments(folder, index.#settings, options.signal);
        yield* index.#updateFolder(folder, entries, true, progress, options.signal);
      }
    });
  }

  /** As `update`, for a few files (absolute paths, as a watcher reports them), gone ones included. */
  async *updateFiles(
    folder: string,
    files: readonly string[],
    options: { signal?: AbortSignal } = {},
  ): AsyncGenerator<IndexProgress> {
    if (needsFullWalk(files)) {
      yield* this.update([...new Set([...this.#store.folders(), await realFolder(folder)])], options);
      return;
    }
    const root = await realFolder(folder);
    const paths = files.map((file) => relativePath(root, folder, file)).filter((path) => path !== undefined);
    yield* this.#locked(options.signal, async function* (index, progress) {
      const onGone = (path: string) =>
        (progress.removed += index.#store.transaction(() => index.#removeAt(root, path)));
      const entries = changedDocuments(root, paths, index.#settings, onGone, options.signal);
      yield* index.#updateFolder(root, entries, false, progress, options.signal);
    });
  }

  /**
   * The text of an editor with unsaved changes stands for the file at the next update; undefined ends that.
   * @param folder the workspace folder, as it is given to `update`; it may be a symbolic link
   * @param file absolute path
   */
  async setOpenText(folder: string, file: string, text: string | undefined): Promise<void> {
    const root = await realFolder(folder);
    const path = relativePath(root, folder, file);
    if (path === undefined) return;
    if (text === undefined) this.#openTexts.delete(join(root, path));
    else this.#openTexts.set(join(root, path), text);
  }

  /** No editor has unsaved changes (any more). */
  forgetOpenTexts(): void {
    this.#openTexts.clear();
  }

  /**
   * Passages for a query. Quotes, operators and punctuation in it are text.
   * @throws UserError if the mode asks for vectors that the index does not have
   */
  async search(query: string, options: SearchOptions = {}): Promise<SearchResult> {
    throwIfCancelled(options.signal);
    const { vectors, notices } = options.mode === 'bm25' ? { notices: [] } : await this.#vectorSearch();
    return searchChunks(this.#store, vectors, notices, query, options);
  }

  /** Passages spread evenly over the index, in its order; all if there are fewer. */
  samplePassages(count: number): Passage[] {
    const ids = this.#store.prepare('SELECT id FROM chunks ORDER BY id').all();
    const step = Math.max(1, ids.length / Math.max(1, count));
    const read = this.#store.prepare(
      `SELECT c.text, c.start_line AS startLine, c.end_line AS endLine, min(f.path) AS path
       FROM chunks c JOIN files f ON f.document = c.document WHERE c.id = ? GROUP BY c.id`,
    );
    return Array.from({ length: Math.min(count, ids.length) }, (_, place) =>
      read.get(ids[Math.floor(place * step)]!['id'] as number),
    ).flatMap((row) => (row ? [{ ...row } as unknown as Passage] : []));
  }

  status(): IndexStatus {
    const count = (table: string) =>
      Number(this.#store.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.['n']);
    return {
      file: this.file,
      settings: this.#settings,
      files: count('files'),
      chunks: count('chunks'),
      problems: this.#problems(),
      folders: this.#store.folders(),
      embedded: count('chunk_vectors'),
      updatedAt: this.#store.meta('updatedAt') ?? null,
      contentHash: this.#store.contentHash(),
      startedAnew: this.#startedAnew,
    };
  }

  close(): void {
    this.#store.database.close();
    void this.#embedder?.then((embedder) => embedder.close()).catch(() => undefined);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #storedSettings(): IndexSettings {
    const stored = this.#store.meta('settings');
    return {
      ...defaultSettings,
      ...(stored === undefined ? {} : (JSON.parse(stored) as Partial<IndexSettings>)),
    };
  }

  /** Runs an update under the writer lock: settings are written first, problems and the final counts come last. */
  async *#locked(
    signal: AbortSignal | undefined,
    work: (index: WorkspaceIndex, progress: IndexProgress) => AsyncGenerator<IndexProgress>,
  ): AsyncGenerator<IndexProgress> {
    const progress: IndexProgress = {
      ...{ phase: 'reading', files: 0, added: 0, changed: 0, removed: 0, unchanged: 0 },
      ...{ chunks: 0, embedded: 0, toEmbed: 0, problems: [] },
    };
    const waiting = waitForWriting(this.file, signal);
    let step = await waiting.next();
    for (; !step.done; step = await waiting.next()) yield { ...progress, phase: 'waiting' };
    const release = step.value;
    try {
      this.#writeSettings();
      yield* work(this, progress);
      yield* this.#embed(progress, signal);
      this.#store.setMeta('updatedAt', new Date().toISOString());
      this.#store.database.exec('PRAGMA wal_checkpoint(PASSIVE)');
      yield { ...progress, phase: 'done', chunks: this.#chunkCount(), problems: this.#problems() };
    } finally {
      await release();
    }
  }

  /** Makes the missing vectors, or drops all of them if there is no embedding model any more. */
  async *#embed(progress: IndexProgress, signal: AbortSignal | undefined): AsyncGenerator<IndexProgress> {
    if (this.#settings.embedder === null) {
      this.#vectors.drop();
      return;
    }
    const embedder = await this.#openEmbedder(this.#settings.embedder);
    for await (const counts of embedChunks(this.#store, this.#vectors, embedder, signal)) {
      Object.assign(progress, counts, { chunks: this.#chunkCount() });
      yield { ...progress, phase: 'embedding' };
    }
  }

  #openEmbedder(folder: string): Promise<Embedder> {
    this.#embedder ??= import('./embedding/embedder.ts').then((module) => module.Embedder.open(folder));
    this.#embedder.catch(() => (this.#embedder = undefined)); // The folder may be there the next time.
    return this.#embedder;
  }

  /** How to search by vectors, or why that is not possible now. */
  async #vectorSearch(): Promise<{ vectors?: VectorSearch; notices: string[] }> {
    const { embedder: folder } = this.#settings;
    if (folder === null)
      return { notices: ['No embedding model is set, so the search is by words alone (BM25).'] };
    try {
      const embedder = await this.#openEmbedder(folder);
      if (this.#vectors.meta?.fingerprint !== embedder.fingerprint) {
        return {
          notices: [
            'The index has no vectors of the embedding model yet; update it. Searched by words alone.',
          ],
        };
      }
      const vectors: VectorSearch = async (query, limit, documents, signal) => {
        const [vector] = await embedder.embed([query], 'query', signal);
        return this.#vectors.search(vector!, limit, documents);
      };
      return { vectors, notices: [] };
    } catch (error) {
      return { notices: [`${messageOf(error)} Searched by words alone.`] };
    }
  }

  #clear(): void {
    this.#vectors.drop();
    this.#store.transaction(() => this.#store.clear());
  }

  async *#updateFolder(
    folder: string,
    entries: AsyncIterable<WalkEntry>,
    complete: boolean,
    progress: IndexProgress,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<IndexProgress> {
    const store = this.#store;
    const openText = (path: string) => this.#openTexts.get(join(folder, path));
    const update = { store, folder, settings: this.#settings, openText, signal };
    const batches = updateFolder(update, entries, complete, progress);
    while (!(await batches.next()).done) yield { ...progress, chunks: this.#chunkCount() };
  }

  /** Forgets the file at a path, or the files below it. Returns how many. */
  #removeAt(root: string, path: string): number {
    const gone = this.#store.filesAtOrBelow(root, path);
    for (const file of gone) this.#store.removeFile(root, file);
    return gone.length;
  }

  #forgetOtherFolders(roots: readonly string[]): void {
    for (const folder of this.#store.folders()) {
      if (roots.includes(folder)) continue;
      this.#store.transaction(() => {
        for (const path of this.#store.files(folder).keys()) this.#store.removeFile(folder, path);
      });
    }
  }

  #writeSettings(): void {
    const text = JSON.stringify(this.#settings);
    const stored = this.#store.meta('settings');
    if (stored === text) return;
    this.#store.transaction(() => {
      this.#store.setMeta('settings', text);
      // Files with a problem have no document that would tell under which settings they were read.
      if (stored !== undefined)
        this.#store.prepare('UPDATE files SET mtime = -1 WHERE problem IS NOT NULL').run();
    });
  }

  #chunkCount(): number {
    return Number(this.#store.prepare('SELECT count(*) AS n FROM chunks').get()?.['n']);
  }

  #problems(): FileProblem[] {
    return this.#store
      .prepare('SELECT path, problem FROM files WHERE problem IS NOT NULL ORDER BY folder, path')
      .all()
      .map((row) => ({ path: String(row['path']), reason: String(row['problem']) }));
  }
}

async function realFolder(folder: string): Promise<string> {
  const found = await stat(folder).catch(() => undefined);
  if (!found) throw new UserError(`The folder ${folder} does not exist.`);
  if (!found.isDirectory()) throw new UserError(`${folder} is a file; a workspace is a folder.`);
  return realpath(folder);
}

/** A changed file's path in the index; undefined if it is outside the folder. */
function relativePath(root: string, folder: string, file: string): string | undefined {
  for (const base of [root, resolve(folder)]) {
    const path = relative(base, resolve(base, file));
    if (path !== '' && !path.startsWith('..') && !isAbsolute(path)) return toSlashes(path);
  }
  return undefined;
}

function withoutUndefined<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}
