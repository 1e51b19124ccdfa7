/** The tables of the index. How a file that holds them is opened: openDatabase.ts. */

/**
 * Stored in the database; an index of an older version is built anew (its contents all come from the files). Raise it
 * for any change of the tables or of the texts that chunk_search is given (search/terms.ts).
 */
export const schemaVersion = 2;

/** Stored in the header of the file: "SPRI". Version 1 had none. */
export const applicationId = 0x53505249;

/** Tables that an index of every version has. */
export const indexTables: readonly string[] = ['meta', 'documents', 'files', 'chunks', 'chunk_search'];

/**
 * files      one row per document found on disk; several files of the same name and content share a document.
 *            `problem` says what could not be read of it, `problem_kind` which kind of problem that is; a file that
 *            was read in part has a document, too
 * documents  a parsed content; `name` is the file's, which is searched with the title; `shape` names the parser and chunk settings that made its chunks
 * chunks     the passages; `embedded` is 1 when chunk_vectors has the chunk's vector (see vectors.ts)
 * chunk_search  BM25; holds no text of its own (rowid = chunks.id). Rows are deleted by giving FTS5 their text again:
 *            with contentless_delete, FTS5 (3.53) would go on counting them in the averages that BM25 uses, and an
 *            index would rank otherwise than one built anew from the same files.
 *
 * Ids are never used twice (AUTOINCREMENT), so a stale reference can only miss, not hit something else.
 */
export const schema = `
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
    problem_kind TEXT,
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
    content = '', tokenize = "porter unicode61 remove_diacritics 2 categories 'L* N* M* Co'"
  );
  PRAGMA user_version = ${schemaVersion};
  PRAGMA application_id = ${applicationId};
`;
