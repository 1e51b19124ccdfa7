/** The index of a workspace: the public face of this folder. */
import { realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { messageOf, throwIfCancelled, UserError } from '../protocol/errors.ts';
import type { Passage } from '../protocol/passages.ts';
import type { Embedder } from './embedding/embedder.ts';
import { changedDocuments, needsFullWalk } from './files/changes.ts';
import { toSlashes } from './files/ignoreRules.ts';
import { walkDocuments, type WalkEntry } from './files/walk.ts';
import { parserVersion } from './documents/formats.ts';
import { Connections } from './index/connections.ts';
import { embedChunks } from './index/embedChunks.ts';
import { asUserError, isDamage } from './index/openDatabase.ts';
import type { IndexStore } from './index/store.ts';
import { removeAll, updateFolder } from './index/update.ts';
import { DocumentReader } from './reading/documentReader.ts';
import type { FileProblem, IndexProgress, IndexStatus } from './types.ts';
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
  const connections = new Connections(resolve(file));
  try {
    return new WorkspaceIndex(connections, settings);
  } catch (error) {
    connections.close();
    throw asUserError(error, file);
  }
}

/** The index turned out to be damaged; a new, empty one is in its place. */
export class IndexDamagedError extends UserError {
  override readonly name = 'IndexDamagedError';
}

export class WorkspaceIndex {
  readonly #connections: Connections;
  readonly #reader = new DocumentReader();
  /** Unsaved texts of open editors, by absolute path. */
  readonly #openTexts = new Map<string, string>();
  #embedder: Promise<Embedder> | undefined;
  #settings: IndexSettings;
  /** Those of the last update. */
  #folders: readonly string[] = [];

  constructor(connections: Connections, settings: Partial<IndexSettings>) {
    this.#connections = connections;
    this.#settings = { ...this.#storedSettings(), ...withoutUndefined(settings) };
    checkSettings(this.#settings);
  }

  get file(): string {
    return this.#connections.file;
  }

  get settings(): Readonly<IndexSettings> {
    return this.#settings;
  }

  /** The connection of updates. */
  get #store(): IndexStore {
    return this.#connections.writing;
  }

  /**
   * Makes the index agree with the files of `folders`; files of other folders leave it. Files that did not change
   * cost a stat. It may be cancelled or killed at any moment and goes on from there the next time. While another
   * process updates the same index it waits. Yields progress at least after every half second of work. An index that
   * turns out to be damaged is set aside and built anew.
   * @param options.rebuild begin a new file first
   * @throws CancelledError; UserError if a folder does not exist, or the disk is full or may not be written
   */
  async *update(
    folders: readonly string[],
    options: { signal?: AbortSignal; rebuild?: boolean } = {},
  ): AsyncGenerator<IndexProgress> {
    const roots = [...new Set(await Promise.all(folders.map(realFolder)))];
    this.#folders = roots;
    yield* this.#locked(options.signal, options.rebuild ?? false, async function* (index, progress) {
      await index.#forgetOtherFolders(roots);
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
    this.#folders = [...new Set([...this.#folders, ...this.#store.folders(), root])];
    const paths = files.map((file) => relativePath(root, folder, file)).filter((path) => path !== undefined);
    yield* this.#locked(options.signal, false, async function* (index, progress) {
      const onGone = async (path: string) => {
        progress.removed += await index.#removeAt(root, path);
      };
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
   * Passages for a query. Quotes, operators and punctuation in it are text. While an update runs, those that it has
   * written so far are found.
   * @throws UserError if the mode asks for vectors that the index does not have; IndexDamagedError
   */
  async search(query: string, options: SearchOptions = {}): Promise<SearchResult> {
    throwIfCancelled(options.signal);
    try {
      this.#connections.follow();
      const { vectors, notices } = options.mode === 'bm25' ? { notices: [] } : await this.#vectorSearch();
      return await searchChunks(this.#connections.reading, vectors, notices, query, options);
    } catch (error) {
      if (!isDamage(error)) throw asUserError(error, this.file);
      throw this.#beginAfterDamage(error);
    }
  }

  /** Passages spread evenly over the index, in its order; all if there are fewer. */
  samplePassages(count: number): Passage[] {
    const store = this.#connections.reading;
    const ids = store.prepare('SELECT id FROM chunks ORDER BY id').all();
    const step = Math.max(1, ids.length / Math.max(1, count));
    const read = store.prepare(
      `SELECT c.text, c.start_line AS startLine, c.end_line AS endLine, min(f.path) AS path
       FROM chunks c JOIN files f ON f.document = c.document WHERE c.id = ? GROUP BY c.id`,
    );
    return Array.from({ length: Math.min(count, ids.length) }, (_, place) =>
      read.get(ids[Math.floor(place * step)]!['id'] as number),
    ).flatMap((row) => (row ? [{ ...row } as unknown as Passage] : []));
  }

  status(): IndexStatus {
    const store = this.#connections.reading;
    const count = (table: string) => Number(store.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.['n']);
    return {
      file: this.file,
      settings: this.#settings,
      files: count('files'),
      chunks: count('chunks'),
      problems: this.#problems(),
      folders: store.folders(),
      embedded: count('chunk_vectors'),
      updatedAt: store.meta('updatedAt') ?? null,
      contentHash: store.contentHash(),
      startedAnew: this.#connections.startedAnew,
    };
  }

  close(): void {
    this.#reader.close();
    this.#connections.close();
    void this.#embedder?.then((embedder) => embedder.close()).catch(() => undefined);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Those in the index, or in the file that it replaces; what is no setting of ours is not taken. */
  #storedSettings(): IndexSettings {
    const stored = this.#store.meta('settings') ?? this.#connections.oldSettings;
    const settings = { ...defaultSettings };
    try {
      const values = JSON.parse(stored ?? '{}') as Partial<IndexSettings>;
      Object.assign(settings, values);
      checkSettings(settings);
    } catch {
      return { ...defaultSettings };
    }
    return settings;
  }

  /** Sets the damaged file aside; what to tell whoever asked for something in it. */
  #beginAfterDamage(damage: unknown): IndexDamagedError {
    this.#connections.beginAfterDamage(messageOf(damage));
    return new IndexDamagedError(`The index was started anew: ${this.#connections.startedAnew!}. Update it.`);
  }

  /**
   * Runs an update under the writer lock: settings are written first, problems and the final counts come last. If the
   * file proves to be damaged, another is begun and everything indexed.
   */
  async *#locked(
    signal: AbortSignal | undefined,
    rebuild: boolean,
    work: (index: WorkspaceIndex, progress: IndexProgress) => AsyncGenerator<IndexProgress>,
  ): AsyncGenerator<IndexProgress> {
    try {
      const release = yield* this.#waitForLock(signal);
      this.#connections.follow();
      const { generation } = this.#connections;
      try {
        if (rebuild) this.#connections.beginAnew();
        else this.#connections.checkFromTimeToTime();
        yield* this.#run(work, signal);
        return;
      } catch (error) {
        const isReplaced = this.#connections.generation !== generation && !rebuild; // by a search that met damage
        if (!isDamage(error) && !isReplaced) throw error;
        if (!isReplaced) this.#beginAfterDamage(error);
      } finally {
        await release();
      }
    } catch (error) {
      throw asUserError(error, this.file);
    }
    yield* this.update(this.#folders, { ...(signal && { signal }) });
  }

  async *#waitForLock(signal: AbortSignal | undefined): AsyncGenerator<IndexProgress, () => Promise<void>> {
    const waiting = waitForWriting(this.file, signal);
    let step = await waiting.next();
    for (; !step.done; step = await waiting.next()) yield { ...noProgress(), phase: 'waiting' };
    return step.value;
  }

  async *#run(
    work: (index: WorkspaceIndex, progress: IndexProgress) => AsyncGenerator<IndexProgress>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<IndexProgress> {
    const progress = noProgress();
    this.#writeSettings();
    yield* work(this, progress);
    yield* this.#embed(progress, signal);
    this.#store.setMeta('updatedAt', new Date().toISOString());
    const tidying = this.#connections.tidy(signal);
    while (!(await tidying.next()).done) {
      yield { ...progress, phase: 'tidying', chunks: this.#chunkCount() };
    }
    yield { ...progress, phase: 'done', chunks: this.#chunkCount(), problems: this.#problems() };
  }

  /** Makes the missing vectors, or drops all of them if there is no embedding model any more. */
  async *#embed(progress: IndexProgress, signal: AbortSignal | undefined): AsyncGenerator<IndexProgress> {
    if (this.#settings.embedder === null) {
      this.#connections.vectors.drop();
      return;
    }
    const embedder = await this.#openEmbedder(this.#settings.embedder);
    for await (const counts of embedChunks(this.#store, this.#connections.vectors, embedder, signal)) {
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
      if (this.#connections.searchedVectors.meta?.fingerprint !== embedder.fingerprint) {
        return {
          notices: [
            'The index has no vectors of the embedding model yet; update it. Searched by words alone.',
          ],
        };
      }
      const vectors: VectorSearch = async (query, limit, documents, signal) => {
        const [vector] = await embedder.embed([query], 'query', signal);
        return this.#connections.searchedVectors.search(vector!, limit, documents);
      };
      return { vectors, notices: [] };
    } catch (error) {
      return { notices: [`${messageOf(error)} Searched by words alone.`] };
    }
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
    const update = { store, folder, settings: this.#settings, reader: this.#reader, openText, signal };
    const batches = updateFolder(update, entries, complete, progress);
    while (!(await batches.next()).done) yield { ...progress, chunks: this.#chunkCount() };
  }

  /** Forgets the file at a path, or the files below it. Returns how many. */
  async #removeAt(root: string, path: string): Promise<number> {
    const gone = this.#store.filesAtOrBelow(root, path);
    await this.#store.transactionInSteps(removeAll(this.#store, root, gone));
    return gone.length;
  }

  async #forgetOtherFolders(roots: readonly string[]): Promise<void> {
    for (const folder of this.#store.folders()) {
      if (roots.includes(folder)) continue;
      const paths = this.#store.files(folder).keys();
      await this.#store.transactionInSteps(removeAll(this.#store, folder, paths));
    }
  }

  #writeSettings(): void {
    const values = { settings: JSON.stringify(this.#settings), parser: String(parserVersion) };
    const changed = Object.entries(values).filter(([key, value]) => this.#store.meta(key) !== value);
    if (changed.length === 0) return;
    this.#store.transaction(() => {
      for (const [key, value] of changed) this.#store.setMeta(key, value);
      // Files without a document do not tell under which settings and by which parser they were read.
      this.#store.prepare('UPDATE files SET mtime = -1 WHERE document IS NULL').run();
    });
  }

  #chunkCount(): number {
    return Number(this.#connections.reading.prepare('SELECT count(*) AS n FROM chunks').get()?.['n']);
  }

  #problems(): FileProblem[] {
    return this.#connections.reading
      .prepare(
        `SELECT path, problem_kind AS kind, problem AS reason FROM files WHERE problem IS NOT NULL
         ORDER BY folder, path`,
      )
      .all()
      .map((row) => ({ ...row }) as unknown as FileProblem);
  }
}

function noProgress(): IndexProgress {
  return {
    ...{ phase: 'reading', files: 0, added: 0, changed: 0, removed: 0, unchanged: 0 },
    ...{ chunks: 0, embedded: 0, toEmbed: 0, problems: [] },
  };
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
