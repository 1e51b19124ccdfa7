/** The index of a workspace: the public face of this folder. */
import { join, resolve } from 'node:path';
import { messageOf, throwIfCancelled, UserError } from '../protocol/errors.ts';
import type { Passage } from '../protocol/passages.ts';
import { parserVersion } from './documents/formats.ts';
import { IndexEmbedding } from './embedding/indexEmbedding.ts';
import { changedDocuments, needsFullWalk } from './files/changes.ts';
import { realFolder, relativePath } from './files/paths.ts';
import { walkDocuments, type WalkEntry } from './files/walk.ts';
import { Connections } from './index/connections.ts';
import { asUserError, isDamage } from './index/openDatabase.ts';
import type { IndexStore } from './index/store.ts';
import { removeAll, updateFolder } from './index/update.ts';
import { waitForWriting } from './index/writerLock.ts';
import { DocumentReader } from './reading/documentReader.ts';
import { samplePassages } from './search/samplePassages.ts';
import { searchChunks } from './search/search.ts';
import type { SearchOptions, SearchResult } from './search/types.ts';
import { checkSettings, parseSettings, type IndexSettings } from './settings.ts';
import type { FileProblem, IndexProgress, IndexStatus } from './types.ts';
export type { IndexProgress, IndexStatus } from './types.ts';

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
  readonly #embedding: IndexEmbedding;
  #settings: IndexSettings;
  /** Those of the last update. */
  #folders: readonly string[] = [];

  constructor(connections: Connections, settings: Partial<IndexSettings>) {
    this.#connections = connections;
    const stored = this.#store.meta('settings') ?? connections.oldSettings;
    this.#settings = { ...parseSettings(stored), ...withoutUndefined(settings) };
    checkSettings(this.#settings);
    this.#embedding = new IndexEmbedding(connections, () => this.#settings);
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
      const known = this.#reading((store) => store.folders());
      yield* this.update([...new Set([...known, await realFolder(folder)])], options);
      return;
    }
    const root = await realFolder(folder);
    this.#folders = [...new Set([...this.#folders, ...this.#reading((store) => store.folders()), root])];
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
    this.#connections.follow();
    const { generation } = this.#connections;
    try {
      const { vectors, notices } = options.mode === 'bm25' ? { notices: [] } : await this.#embedding.search();
      return await searchChunks(this.#connections.reading, vectors, notices, query, options);
    } catch (error) {
      // Another file was begun while the query's vector was made.
      if (this.#connections.generation !== generation) return await this.search(query, options);
      if (!isDamage(error)) throw asUserError(error, this.file);
      throw this.#beginAfterDamage(error);
    }
  }

  /** Passages spread evenly over the index, in its order; all if there are fewer. */
  samplePassages(count: number): Passage[] {
    return this.#reading((store) => samplePassages(store, count));
  }

  status(): IndexStatus {
    return this.#reading((store) => this.#statusOf(store));
  }

  #statusOf(store: IndexStore): IndexStatus {
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
    this.#embedding.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Reads from the index; from a new, empty one if it proves to be damaged. */
  #reading<T>(work: (store: IndexStore) => T): T {
    try {
      return work(this.#connections.reading);
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#beginAfterDamage(error);
      return work(this.#connections.reading);
    }
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
    for await (const counts of this.#embedding.update(signal)) {
      Object.assign(progress, counts, { chunks: this.#chunkCount() });
      yield { ...progress, phase: 'embedding' };
    }
    this.#store.setMeta('updatedAt', new Date().toISOString());
    const tidying = this.#connections.tidy(signal);
    while (!(await tidying.next()).done) {
      yield { ...progress, phase: 'tidying', chunks: this.#chunkCount() };
    }
    yield { ...progress, phase: 'done', chunks: this.#chunkCount(), problems: this.#problems() };
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

function withoutUndefined<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}
