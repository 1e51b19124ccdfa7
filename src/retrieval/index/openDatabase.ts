/**
 * Opens the database file of an index. What is no index of ours, or a damaged or older one, is set aside under another
 * name and an empty index begun in its place: nothing is lost that the next update does not bring back.
 */
import { closeSync, existsSync, mkdirSync, openSync, readSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { messageOf, UserError } from '../../protocol/errors.ts';
import { applicationId, indexTables, schema, schemaVersion } from './schema.ts';

/** Larger files are not checked whole whenever they are opened, but once a day, by an update. */
const quickToCheckBytes = 16 * 1024 * 1024;

export interface OpenedDatabase {
  database: DatabaseSync;
  /** Why the index had to be started anew, if it had, and where the old file is. */
  startedAnew?: string;
  /** The settings of the old file, if they could be read. */
  oldSettings?: string;
}

/** Content of an index that cannot be what an update has written. */
export class IndexDamage extends Error {
  override readonly name: string = 'IndexDamage';
}

/** Why a file is not used as it is. `foreign`: it belongs to another program. */
interface Refused {
  kind: 'damaged' | 'outdated' | 'foreign';
  why: string;
  oldSettings?: string;
}

/**
 * Opens or creates the database of an index.
 * @throws UserError if the file cannot be opened, or was written by a newer version: that one is left as it is
 */
export function openDatabase(file: string): OpenedDatabase {
  try {
    mkdirSync(dirname(file), { recursive: true });
    const first = openOnce(file);
    if (first instanceof DatabaseSync) return { database: first };
    const { why, kind, oldSettings } = first;
    const aside = setAside(file, kind);
    const second = openOnce(file);
    if (!(second instanceof DatabaseSync)) throw new Error(second.why);
    return {
      database: second,
      startedAnew: `${why}; that file is kept as ${aside}`,
      ...(oldSettings !== undefined && { oldSettings }),
    };
  } catch (error) {
    throw asUserError(error, file);
  }
}

/** A second connection to an index that is open, for searches: they see what is committed while an update writes. */
export function openForReading(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { allowExtension: true });
  database.exec('PRAGMA busy_timeout = 10000; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY;');
  return database;
}

/** Whether SQLite says that the file's content is broken, as against locked, missing or not writable. */
export function isDamage(error: unknown): boolean {
  if (error instanceof IndexDamage) return true;
  const code = resultCode(error);
  return (
    code === 11 /* SQLITE_CORRUPT */ ||
    code === 26 /* SQLITE_NOTADB */ ||
    // A table or column that is gone, a virtual table whose own tables are broken: no statement of ours is wrong.
    (code === 1 && /no such|vtable constructor|malformed|fts5|vec0/i.test(messageOf(error)))
  );
}

/** Failures of the disk in words; anything else as it is. */
export function asUserError(error: unknown, file: string): unknown {
  if (error instanceof UserError) return error;
  const reasons: Record<number, string> = {
    5: 'another program keeps it locked',
    8: 'it may not be written',
    10: 'the disk reports an error',
    13: 'the disk is full',
    14: 'its folder may not be written, or is gone',
  };
  const system = error instanceof Error && 'code' in error ? String(error.code) : '';
  const reason =
    reasons[resultCode(error)] ??
    (/^E[A-Z]+$/.test(system) ? messageOf(error) : undefined) ??
    (isDamage(error) ? messageOf(error) : undefined);
  if (reason === undefined) return error;
  return new UserError(
    `The index ${file} cannot be used: ${reason}. Make room or give write access in ${dirname(file)}, ` +
      'or name another file with --index.',
  );
}

/** Whether the pages and the word lists of an index hang together; what a search would silently miss shows here. */
export function checkIntegrity(database: DatabaseSync): void {
  const verdict = database.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
  if (verdict !== 'ok') throw new IndexDamage(String(verdict).split('\n').at(-1));
  try {
    database.exec(
      "PRAGMA busy_timeout = 0; INSERT INTO chunk_search (chunk_search) VALUES ('integrity-check')",
    );
  } catch (error) {
    if (resultCode(error) !== 5) throw error; // While another process writes, the check is left to another time.
  } finally {
    database.exec('PRAGMA busy_timeout = 10000');
  }
  const counts = database
    .prepare(
      'SELECT (SELECT count(*) FROM chunks) AS chunks, (SELECT count(*) FROM chunk_search_docsize) AS words',
    )
    .get();
  if (counts?.['chunks'] !== counts?.['words'])
    throw new IndexDamage('passages without words, or words without passages');
}

/** The connection, with the tables of this version in the file, or why the file cannot be used. */
function openOnce(file: string): DatabaseSync | Refused {
  // SQLite would take a short text for an empty database and write over it.
  if (!beginsAsDatabase(file))
    return { kind: 'damaged', why: 'the old file was damaged, or no index at all' };
  const database = new DatabaseSync(file, { allowExtension: true });
  try {
    const refused = examine(database, file);
    if (refused) {
      database.close();
      return refused;
    }
    // Only now is anything written: a file of another program or version stays as it is.
    if (userVersion(database) === 0) database.exec('PRAGMA auto_vacuum = INCREMENTAL');
    database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL;
      PRAGMA journal_size_limit = 67108864;
      PRAGMA cache_size = -32768;
      PRAGMA temp_store = MEMORY;
    `);
    if (userVersion(database) === 0) createTables(database);
    if (statSync(file).size <= quickToCheckBytes) checkIntegrity(database);
    return database;
  } catch (error) {
    const oldSettings = settingsOf(database);
    if (database.isOpen) database.close();
    if (!isDamage(error)) throw error;
    return { kind: 'damaged', why: `the old file was damaged (${messageOf(error)})`, ...oldSettings };
  }
}

function beginsAsDatabase(file: string): boolean {
  if (!(statSync(file, { throwIfNoEntry: false })?.isFile() ?? false)) return true; // SQLite says what is wrong.
  const handle = openSync(file, 'r');
  try {
    const head = Buffer.alloc(16);
    const length = readSync(handle, head, 0, head.length, 0);
    return length === 0 || head.equals(Buffer.from('SQLite format 3\0', 'latin1'));
  } finally {
    closeSync(handle);
  }
}

function examine(database: DatabaseSync, file: string): Refused | undefined {
  database.exec('PRAGMA busy_timeout = 10000');
  const id = Number(database.prepare('PRAGMA application_id').get()?.['application_id']);
  const version = userVersion(database);
  const tables = new Set(
    database
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
      .all()
      .map((row) => String(row['name'])),
  );
  if (tables.size === 0 && version === 0 && id === 0) return undefined; // empty
  const complete = indexTables.every((name) => tables.has(name));
  if (id !== applicationId && !(id === 0 && complete)) {
    return { kind: 'foreign', why: 'the old file is a database of another program' };
  }
  if (version > schemaVersion) {
    throw new UserError(
      `The index ${file} was written by a newer version (schema ${version}, this version knows ${schemaVersion}). ` +
        'Update this program, or name another file with --index, or delete the file to build the index anew.',
    );
  }
  if (version !== schemaVersion) {
    const why = `its schema was version ${version}, now ${schemaVersion}`;
    return { kind: 'outdated', why, ...settingsOf(database) };
  }
  if (!complete) throw new IndexDamage('tables are missing');
  return undefined;
}

function settingsOf(database: DatabaseSync): { oldSettings?: string } {
  try {
    const row = database.prepare("SELECT value FROM meta WHERE key = 'settings'").get();
    return row ? { oldSettings: String(row['value']) } : {};
  } catch {
    return {};
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

function resultCode(error: unknown): number {
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : -1;
}

/**
 * Moves an unusable file out of the way, with its log; processes that hold it open keep their view. One damaged and
 * one outdated index is kept, of other programs' files every one.
 * @returns the new name
 */
function setAside(file: string, kind: Refused['kind']): string {
  let aside = `${file}.${kind}`;
  for (let number = 2; kind === 'foreign' && existsSync(aside); number++) aside = `${file}.${kind}-${number}`;
  for (const suffix of ['-wal', '-shm']) {
    if (kind !== 'outdated' && existsSync(file + suffix)) renameSync(file + suffix, aside + suffix);
    rmSync(file + suffix, { force: true });
  }
  renameSync(file, aside);
  return aside;
}

/** Moves an index that proved damaged, and is not open, out of the way. @returns its new name */
export function setDamagedAside(file: string): string {
  try {
    return setAside(file, 'damaged');
  } catch (error) {
    throw asUserError(error, file);
  }
}

/** Removes the file of an index that is not open, so that a new one begins. */
export function removeIndexFile(file: string): void {
  for (const name of [file, `${file}-wal`, `${file}-shm`]) rmSync(name, { force: true });
}
