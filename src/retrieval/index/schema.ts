/** The tables of the index and how a database file is opened. */
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { messageOf, UserError } from '../../protocol/errors.ts';

/**
 * Stored in the database; an index of an older version is built anew (its contents all come from the files). Raise it
 * for any change of the tables or of the texts that chunk_search is given (search/terms.ts).
 */
export const schemaVersion = 1;

/**
 * files      one row per document found on disk; several files of the same name and content share a document
 * documents  a parsed content; `name` is the file's, which is searched with the title; `shape` names the parser and chunk settings that made its chunks
 * chunks     the passages; `embedded` is 1 when chunk_vectors has the chunk's vector (see vectors.ts)
 * chunk_search  BM25; holds no text of its own (rowid = chunks.id). Rows are deleted by giving FTS5 their text again:
 *            with contentless_delete, FTS5 (3.53) would go on counting them in the averages that BM25 uses, and an
 *            index would rank otherwise than one built anew from the same files.
 *
 * Ids are never used twice (AUTOINCREMENT), so a stale reference can only miss, not hit something else.
 */
const schema = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    shape TEXT NOT NULL
  );
  CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    folder TEXT NOT NULL,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime REAL NOT NULL,
    ctime REAL NOT NULL,
    document INTEGER REFERENCES documents (id),
    problem TEXT,
    UNIQUE (folder, path)
  );
  CREATE INDEX files_by_document ON files (document);
  CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES documents (id),
    start_line INTEGER NOT NULL,
    end_line INTEGER NOT NULL,
    headings TEXT NOT NULL,
    heading_lines INTEGER NOT NULL,
    text TEXT NOT NULL,
    embedded INTEGER NOT NULL DEFAULT 0
  );
  CREATE INDEX chunks_by_document ON chunks (document);
  CREATE INDEX chunks_to_embed ON chunks (id) WHERE embedded = 0;
  CREATE TABLE chunk_vectors (id INTEGER PRIMARY KEY, vector BLOB NOT NULL);
  CREATE VIRTUAL TABLE chunk_search USING fts5 (
    title, body, identifiers,
    content = '', tokenize = 'porter unicode61 remove_diacritics 2'
  );
  PRAGMA user_version = ${schemaVersion};
`;

export interface OpenedDatabase {
  database: DatabaseSync;
  /** Why the index had to be started anew, if it had. */
  startedAnew?: string;
}

/**
 * Opens or creates the database of an index. A damaged file, or one of an older schema, is replaced by an empty index:
 * nothing is lost that the next update does not bring back.
 * @throws UserError if the file cannot be opened or was written by a newer version.
 */
export function openDatabase(file: string): OpenedDatabase {
  try {
    mkdirSync(dirname(file), { recursive: true });
    return openOnce(file);
  } catch (error) {
    if (!isDamage(error)) {
      if (error instanceof UserError) throw error;
      throw new UserError(
        `The index ${file} cannot be opened: ${messageOf(error)}. Name another file with --index.`,
      );
    }
    setAside(file, 'damaged');
    return { ...openOnce(file), startedAnew: `the old file was damaged (${messageOf(error)})` };
  }
}

/** Whether SQLite says that the file's content is broken, as against locked, missing or not writable. */
export function isDamage(error: unknown): boolean {
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : -1;
  return code === 11 /* SQLITE_CORRUPT */ || code === 26; /* SQLITE_NOTADB */
}

function openOnce(file: string): OpenedDatabase {
  const database = new DatabaseSync(file, { allowExtension: true });
  try {
    database.exec(`
      PRAGMA busy_timeout = 10000;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL;
      PRAGMA journal_size_limit = 67108864;
      PRAGMA cache_size = -32768;
      PRAGMA temp_store = MEMORY;
    `);
    const version = userVersion(database);
    if (version === 0) createTables(database);
    if (version > schemaVersion) {
      throw new UserError(
        `The index ${file} was written by a newer version (schema ${version}, this version knows ${schemaVersion}). ` +
          'Update this program, or delete the file to build the index anew.',
      );
    }
    if (version === 0 || version === schemaVersion) return { database };
    database.close();
    setAside(file, 'outdated');
    return { ...openOnce(file), startedAnew: `its schema was version ${version}, now ${schemaVersion}` };
  } catch (error) {
    if (database.isOpen) database.close();
    throw error;
  }
}

function createTables(database: DatabaseSync): void {
  // IMMEDIATE: of two processes that find an empty file, one creates the tables and the other then finds them.
  database.exec('BEGIN IMMEDIATE');
  try {
    if (userVersion(database) === 0) database.exec(schema);
    database.exec('COMMIT');
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}

function userVersion(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
}

/** Moves an unusable index out of the way (one such copy is kept); processes that hold it open keep their view. */
function setAside(file: string, why: 'damaged' | 'outdated'): void {
  for (const suffix of ['-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true });
  renameSync(file, `${file}.${why}`);
}
