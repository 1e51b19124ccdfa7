/** The index of a workspace: the public face of this folder. */
import { realpath, stat } from 'node:fs/promises';
import { resolve, join } from 'node:path';
import { throwIfCancelled, UserError } from '../protocol/errors.ts';
import { formatOf } from './documents/formats.ts';
import { IgnoreRules, toSlashes } from './files/ignoreRules.ts';
import { lookAt, walkDocuments, type WalkEntry } from './files/walk.ts';
import { openDatabase } from './index/schema.ts';
import { IndexStore } from './index/store.ts';
import { updateFolder, type FileProblem, type UpdateCounts } from './index/update.ts';
import { WriterLock } from './index/writerLock.ts';
import { searchChunks } from './search/search.ts';
import type { SearchOptions, SearchResult } from './search/types.ts';
import { checkSettings, defaultSettings, type IndexSettings } from './settings.ts';

/** What an update yields: counts so far. `waiting`: another process is updating this index. */
export interface IndexProgress extends UpdateCounts {
  phase: 'waiting' | 'reading' | 'embedding' | 'tidying' | 'done';
  /** Passages in the index. */
  chunks: number;
  /** Passages whose vectors this update made, of how many it has to; 0 without an embedding model. */
  embedded: number;
  toEmbed: number;
  /** With phase 'done': every file that could not be indexed. */
  problems: FileProblem[];
}

export interface IndexStatus {
  file: string;
  settings: IndexSettings;
  files: number;
  chunks: number;
  problems: FileProblem[];
  folders: string[];
  /** Why the index was started anew when it was opened, if it was. */
  startedAnew?: string | undefined;
}

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
  #settings: IndexSettings;

  constructor(file: string, store: IndexStore, settings: Partial<IndexSettings>, startedAnew?: string) {
    this.file = file;
    this.#store = store;
    this.#startedAnew = startedAnew;
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
   * @throws CancelledError; UserError if a folder does not exist
   */
  async *update(
    folders: readonly string[],
    options: { signal?: AbortSignal } = {},
  ): AsyncGenerator<IndexProgress> {
    const roots = await Promise.all(folders.map(realFolder));
    yield* this.#locked(options.signal, async function* (index, progress) {
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
    const root = await realFolder(folder);
    const entries = this.#lookAtFiles(root, files, options.signal);
    yield* this.#locked(options.signal, async function* (index, progress) {
      yield* index.#updateFolder(root, entries, false, progress, options.signal);
    });
  }

  /** The text of an editor with unsaved changes stands for the file at the next update; undefined ends that. */
  setOpenText(file: string, text: string | undefined): void {
    if (text === undefined) this.#openTexts.delete(resolve(file));
    else this.#openTexts.set(resolve(file), text);
  }

  /**
   * Passages for a query. Quotes, operators and punctuation in it are text.
   * @throws UserError if the mode asks for vectors that the index does not have
   */
  search(query: string, options: SearchOptions = {}): Promise<SearchResult> {
    throwIfCancelled(options.signal);
    return searchChunks(this.#store, undefined, [], query, options);
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
      startedAnew: this.#startedAnew,
    };
  }

  close(): void {
    this.#store.database.close();
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
    const waiting = WriterLock.acquire(this.file, signal);
    let step = await waiting.next();
    for (; !step.done; step = await waiting.next()) yield { ...progress, phase: 'waiting' };
    const lock = step.value;
    try {
      this.#writeSettings();
      yield* work(this, progress);
      this.#store.database.exec('PRAGMA wal_checkpoint(PASSIVE)');
      yield { ...progress, phase: 'done', chunks: this.#chunkCount(), problems: this.#problems() };
    } finally {
      lock.release();
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
    const update = { store, folder, settings: this.#settings, openText, signal };
    const batches = updateFolder(update, entries, complete, progress);
    while (!(await batches.next()).done) yield { ...progress, chunks: this.#chunkCount() };
  }

  /** Walk entries of single files; those that are gone or ignored are removed from the index at once. */
  async *#lookAtFiles(
    root: string,
    files: readonly string[],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<WalkEntry> {
    for (const file of new Set(files.map((name) => resolve(root, name)))) {
      throwIfCancelled(signal);
      const path = toSlashes(file.slice(root.length + 1));
      const format = formatOf(path, this.#settings.sourceCode);
      if (!file.startsWith(root) || !format) continue;
      const exists = await stat(file).then(
        (stats) => stats.isFile(),
        () => false,
      );
      if (exists && !(await this.#isIgnored(root, path)))
        yield await lookAt(root, file, format, this.#settings);
      else this.#store.transaction(() => this.#store.removeFile(root, path));
    }
  }

  async #isIgnored(root: string, path: string): Promise<boolean> {
    let rules = await IgnoreRules.forRoot(root, this.#settings);
    let folder = root;
    const names = path.split('/');
    for (const name of names.slice(0, -1)) {
      folder = join(folder, name);
      if (rules.ignores(folder, true)) return true;
      rules = await rules.enter(folder);
    }
    return rules.ignores(join(root, path), false);
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

function withoutUndefined<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}
