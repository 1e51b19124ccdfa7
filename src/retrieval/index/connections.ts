/**
 * The connections to one index file: one that updates, one that searches and so sees what is committed. Both are
 * opened anew when the file is replaced.
 */
import { statSync } from 'node:fs';
import { setImmediate as pause } from 'node:timers/promises';
import { throwIfCancelled } from '../../protocol/errors.ts';
import {
  asUserError,
  checkIntegrity,
  openDatabase,
  openForReading,
  removeIndexFile,
  setDamagedAside,
} from './openDatabase.ts';
import { IndexStore } from './store.ts';
import { VectorTable } from './vectors.ts';

interface Opened {
  writing: IndexStore;
  reading: IndexStore;
  vectors: VectorTable;
  searchedVectors: VectorTable;
}

const dayMs = 24 * 60 * 60 * 1000;

/** The word lists are merged, and the file shortened, when more than this share of them is of deleted passages. */
const staleShare = 0.25;

export class Connections {
  readonly file: string;
  #opened: Opened;
  /** Changes whenever another file is opened. */
  generation = 0;
  #inode: number | undefined;
  /** Why the index had to be started anew, if it had. */
  startedAnew: string | undefined;
  /** Settings of the file that was replaced. */
  oldSettings: string | undefined;

  /** @throws UserError if the file cannot be used */
  constructor(file: string) {
    this.file = file;
    this.#opened = this.#open();
  }

  get writing(): IndexStore {
    return this.#opened.writing;
  }

  get reading(): IndexStore {
    return this.#opened.reading;
  }

  get vectors(): VectorTable {
    return this.#opened.vectors;
  }

  get searchedVectors(): VectorTable {
    return this.#opened.searchedVectors;
  }

  close(): void {
    for (const { database } of [this.reading, this.writing]) if (database.isOpen) database.close();
  }

  /** Opens the file that is there now, if another process has replaced the one that is open. */
  follow(): void {
    if (statSync(this.file, { throwIfNoEntry: false })?.ino === this.#inode) return;
    this.close();
    this.#opened = this.#open();
  }

  /** An empty file in the place of this one; the caller holds the writer lock. */
  beginAnew(): void {
    this.close();
    try {
      removeIndexFile(this.file);
    } catch (error) {
      throw asUserError(error, this.file);
    } finally {
      this.#opened = this.#open();
    }
  }

  /** The same, with the damaged file kept under another name. */
  beginAfterDamage(damage: string): void {
    this.close();
    const aside = setDamagedAside(this.file);
    this.#opened = this.#open();
    this.startedAnew = `the old file was damaged (${damage}); that file is kept as ${aside}`;
  }

  /** A large file is checked by one update a day; small ones are whenever they are opened. @throws IndexDamage */
  checkFromTimeToTime(): void {
    const checked = Number(this.writing.meta('checkedAt') ?? 0);
    if (Math.abs(Date.now() - checked) < dayMs) return;
    if (checked > 0) checkIntegrity(this.writing.database);
    this.writing.setMeta('checkedAt', String(Date.now()));
  }

  /** After an update: the log goes into the file, and what deleted passages have left is removed, in small steps. */
  async *tidy(signal: AbortSignal | undefined): AsyncGenerator<undefined> {
    const store = this.writing;
    const number = (sql: string) => Number(Object.values(store.prepare(sql).get() ?? {})[0]);
    const ever = number("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'chunks'), 0)");
    const kept = number('SELECT count(*) FROM chunks');
    const merged = store.meta('mergedAt')?.split(' ').map(Number) ?? [0, 0];
    // Passages that went since the last merge: those that came less those that are more now.
    const gone = ever - merged[0]! - (kept - merged[1]!);
    if (gone > staleShare * kept && gone > 100) {
      // A negative number of pages starts a merge of everything, positive ones go on with it.
      let pages = -64;
      for (let changes = 2; changes >= 2; pages = 64) {
        throwIfCancelled(signal);
        const before = number('SELECT total_changes()');
        store.prepare("INSERT INTO chunk_search (chunk_search, rank) VALUES ('merge', ?)").run(pages);
        changes = number('SELECT total_changes()') - before;
        await pause();
        yield;
      }
      store.setMeta('mergedAt', `${ever} ${kept}`);
    }
    while (number('PRAGMA freelist_count') > staleShare * number('PRAGMA page_count')) {
      throwIfCancelled(signal);
      store.database.exec('PRAGMA incremental_vacuum(256)');
      await pause();
      yield;
    }
    store.database.exec('PRAGMA wal_checkpoint(PASSIVE)');
  }

  #open(): Opened {
    const { database, startedAnew, oldSettings } = openDatabase(this.file);
    this.startedAnew = startedAnew ?? this.startedAnew;
    this.oldSettings = oldSettings ?? this.oldSettings;
    this.#inode = statSync(this.file).ino;
    this.generation++;
    const writing = new IndexStore(database);
    const reading = new IndexStore(openForReading(this.file));
    const vectors = new VectorTable(writing);
    writing.onChunkDeleted = (id) => vectors.remove(id);
    return { writing, reading, vectors, searchedVectors: new VectorTable(reading) };
  }
}
