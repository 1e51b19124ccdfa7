/** Reading and writing the rows of the index. Every method is one step of a transaction that the caller holds. */
import { createHash } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { posix } from 'node:path';
import { setImmediate as pause } from 'node:timers/promises';
import type { FileProblemKind } from '../../protocol/engine.ts';
import type { Chunk } from '../chunks/chunkDocument.ts';
import { IndexDamage } from './openDatabase.ts';
import { identifierTerms, searchableText } from '../search/terms.ts';

/** What is known of a file on disk. */
export interface FileRow {
  path: string;
  size: number;
  mtime: number;
  ctime: number;
  document: number | null;
  /** What could not be read; with a document: of a file that was read in part. */
  problem: string | null;
  problemKind: FileProblemKind | null;
}

export interface DocumentRow {
  id: number;
  hash: string;
  shape: string;
}

interface ChunkRow {
  id: number;
  start_line: number;
  end_line: number;
  headings: string;
  heading_lines: number;
  text: string;
}

/** Milliseconds of a long transaction after which other work of this process has its turn. */
const turnMilliseconds = 15;

/** Columns of `files` as a FileRow. */
const fileColumns = 'path, size, mtime, ctime, document, problem, problem_kind AS problemKind';

export class IndexStore {
  readonly database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  /** Chunks whose row was deleted, for the vector table to follow. */
  onChunkDeleted: ((id: number) => void) | undefined;

  constructor(database: DatabaseSync) {
    this.database = database;
  }

  /** A prepared statement, kept for the next call with the same text. */
  prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** Runs `work` in a transaction: all of it is in the index afterwards, or, if it throws, nothing. */
  transaction<T>(work: () => T): T {
    this.database.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.database.exec('COMMIT');
      return result;
    } catch (error) {
      this.#rollBack();
      throw error;
    }
  }

  /**
   * The same for work in many small steps, the iterations of `work`: between them searches (on a connection of their
   * own) are answered. The caller starts nothing else on this connection meanwhile.
   */
  async transactionInSteps(work: Iterable<unknown>): Promise<void> {
    this.database.exec('BEGIN IMMEDIATE');
    try {
      let started = performance.now();
      const steps = work[Symbol.iterator]();
      while (!steps.next().done) {
        if (performance.now() - started < turnMilliseconds) continue;
        await pause();
        started = performance.now();
      }
      this.database.exec('COMMIT');
    } catch (error) {
      this.#rollBack();
      throw error;
    }
  }

  #rollBack(): void {
    try {
      this.database.exec('ROLLBACK');
    } catch {
      // SQLite has rolled back by itself, as it does when the disk is full.
    }
  }

  meta(key: string): string | undefined {
    const row = this.prepare('SELECT value FROM meta WHERE key = ?').get(key);
    return row === undefined ? undefined : String(row['value']);
  }

  setMeta(key: string, value: string): void {
    this.prepare('INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value').run(
      key,
      value,
    );
  }

  removeMeta(key: string): void {
    this.prepare('DELETE FROM meta WHERE key = ?').run(key);
  }

  files(folder: string): Map<string, FileRow> {
    const rows = this.prepare(`SELECT ${fileColumns} FROM files WHERE folder = ?`).all(
      folder,
    ) as unknown as FileRow[];
    return new Map(rows.map((row) => [row.path, row]));
  }

  file(folder: string, path: string): FileRow | undefined {
    return this.prepare(`SELECT ${fileColumns} FROM files WHERE folder = ? AND path = ?`).get(
      folder,
      path,
    ) as unknown as FileRow | undefined;
  }

  /** Any of the files that have a document. */
  fileOfDocument(document: number): FileRow | undefined {
    return this.prepare(`SELECT ${fileColumns} FROM files WHERE document = ? LIMIT 1`).get(
      document,
    ) as unknown as FileRow | undefined;
  }

  /** The path itself and all below it, as far as they are in the index. */
  filesAtOrBelow(folder: string, path: string): string[] {
    // '0' follows '/' in the order of characters, so this is the range of everything that starts with `path/`.
    return this.prepare('SELECT path FROM files WHERE folder = ? AND (path = ? OR (path > ? AND path < ?))')
      .all(folder, path, `${path}/`, `${path}0`)
      .map((row) => String(row['path']));
  }

  contentHash(): string {
    const hash = createHash('sha256');
    const rows = this.prepare(
      `SELECT f.folder, f.path, d.hash, d.shape FROM files f JOIN documents d ON d.id = f.document
       ORDER BY f.folder, f.path`,
    );
    for (const row of rows.iterate()) hash.update(`${Object.values(row).join('\0')}\0`);
    return hash.digest('hex');
  }

  saveFile(folder: string, row: FileRow): void {
    this.prepare(
      `INSERT INTO files (folder, path, size, mtime, ctime, document, problem, problem_kind)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (folder, path) DO UPDATE SET size = excluded.size, mtime = excluded.mtime,
         ctime = excluded.ctime, document = excluded.document, problem = excluded.problem,
         problem_kind = excluded.problem_kind`,
    ).run(folder, row.path, row.size, row.mtime, row.ctime, row.document, row.problem, row.problemKind);
  }

  /** Forgets a file, and its document if no other file has it, a passage a step. */
  *removeFile(folder: string, path: string): Generator<undefined> {
    const row = this.file(folder, path);
    this.prepare('DELETE FROM files WHERE folder = ? AND path = ?').run(folder, path);
    if (row?.document != null) yield* this.removeDocumentIfUnused(row.document);
  }

  folders(): string[] {
    return this.prepare('SELECT DISTINCT folder FROM files ORDER BY folder')
      .all()
      .map((row) => String(row['folder']));
  }

  document(id: number): DocumentRow | undefined {
    return this.prepare('SELECT id, hash, shape FROM documents WHERE id = ?').get(id) as unknown as
      DocumentRow | undefined;
  }

  documentByHash(hash: string): DocumentRow | undefined {
    return this.prepare('SELECT id, hash, shape FROM documents WHERE hash = ?').get(hash) as unknown as
      DocumentRow | undefined;
  }

  usersOf(document: number): number {
    return Number(this.prepare('SELECT count(*) AS n FROM files WHERE document = ?').get(document)?.['n']);
  }

  /** @param path of the document, whose name is searched as part of the title */
  insertDocument(hash: string, path: string, shape: string): number {
    return Number(
      this.prepare('INSERT INTO documents (hash, name, shape) VALUES (?, ?, ?)').run(
        hash,
        posix.basename(path),
        shape,
      ).lastInsertRowid,
    );
  }

  setDocument(id: number, hash: string, shape: string): void {
    this.prepare('UPDATE documents SET hash = ?, shape = ? WHERE id = ?').run(hash, shape, id);
  }

  *removeDocumentIfUnused(id: number): Generator<undefined> {
    if (this.usersOf(id) > 0) return;
    const name = this.#nameOf(id);
    for (const row of this.#chunkRows(id)) {
      this.#deleteChunk(name, row);
      yield;
    }
    this.prepare('DELETE FROM documents WHERE id = ?').run(id);
  }

  /**
   * Makes `chunks` the chunks of a document. Those that were there before keep their row and so their vector: after an
   * edit only the passages that it touched are indexed and embedded again. A passage a step.
   */
  *setChunks(document: number, chunks: readonly Chunk[]): Generator<undefined> {
    const name = this.#nameOf(document);
    const old = new Map<string, ChunkRow[]>();
    for (const row of this.#chunkRows(document)) {
      const key = `${row.headings}\0${row.text}`;
      const same = old.get(key);
      if (same) same.push(row);
      else old.set(key, [row]);
    }
    for (const chunk of chunks) {
      yield;
      const headings = JSON.stringify(chunk.headings);
      const kept = old.get(`${headings}\0${chunk.text}`)?.shift();
      if (!kept) {
        this.#insertChunk(document, name, chunk, headings);
      } else if (
        kept.start_line !== chunk.startLine ||
        kept.end_line !== chunk.endLine ||
        kept.heading_lines !== chunk.headingLines
      ) {
        this.prepare('UPDATE chunks SET start_line = ?, end_line = ?, heading_lines = ? WHERE id = ?').run(
          chunk.startLine,
          chunk.endLine,
          chunk.headingLines,
          kept.id,
        );
      }
    }
    for (const row of [...old.values()].flat()) {
      this.#deleteChunk(name, row);
      yield;
    }
  }

  #chunkRows(document: number): ChunkRow[] {
    return this.prepare(
      'SELECT id, start_line, end_line, headings, heading_lines, text FROM chunks WHERE document = ? ORDER BY id',
    ).all(document) as unknown as ChunkRow[];
  }

  #nameOf(document: number): string {
    return String(this.prepare('SELECT name FROM documents WHERE id = ?').get(document)?.['name']);
  }

  #insertChunk(document: number, name: string, chunk: Chunk, headings: string): void {
    const { lastInsertRowid } = this.prepare(
      'INSERT INTO chunks (document, start_line, end_line, headings, heading_lines, text) VALUES (?, ?, ?, ?, ?, ?)',
    ).run(document, chunk.startLine, chunk.endLine, headings, chunk.headingLines, chunk.text);
    this.prepare('INSERT INTO chunk_search (rowid, title, body, identifiers) VALUES (?, ?, ?, ?)').run(
      lastInsertRowid,
      ...searchTexts(name, chunk.headings, chunk.text),
    );
  }

  #deleteChunk(name: string, { id, headings, text }: ChunkRow): void {
    this.prepare('DELETE FROM chunks WHERE id = ?').run(id);
    this.prepare(
      "INSERT INTO chunk_search (chunk_search, rowid, title, body, identifiers) VALUES ('delete', ?, ?, ?, ?)",
    ).run(id, ...searchTexts(name, parseHeadings(headings), text));
    this.onChunkDeleted?.(id);
  }
}

/** The title path as it is stored. @throws IndexDamage */
export function parseHeadings(stored: unknown): string[] {
  try {
    return JSON.parse(String(stored)) as string[];
  } catch {
    throw new IndexDamage('a title path is not readable');
  }
}

/** The columns of chunk_search for a chunk. The same at its deletion as at its insertion: see schemaVersion. */
function searchTexts(
  name: string,
  headings: readonly string[],
  text: string,
): [title: string, body: string, identifiers: string] {
  const title = [...headings, posix.basename(name, posix.extname(name))].join('\n');
  return [searchableText(title), searchableText(text), identifierTerms(`${title}\n${text}`).join(' ')];
}
