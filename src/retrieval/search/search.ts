/** A search: by words, by vectors or both. */
import { UserError } from '../../protocol/errors.ts';
import { globMatcher } from '../files/glob.ts';
import { parseHeadings, type IndexStore } from '../index/store.ts';
import { searchBm25, type ScoredChunk } from './bm25.ts';
import { candidatesFor, checkedLimit, rankCandidates, type FoundPassage } from './rankCandidates.ts';
import type { SearchMode, SearchOptions, SearchResult } from './types.ts';

/** The nearest chunks to a query by vectors; confined to `documents` if given. */
export type VectorSearch = (
  query: string,
  limit: number,
  documents: readonly number[] | undefined,
  signal: AbortSignal | undefined,
) => Promise<ScoredChunk[]>;

/**
 * Searches the index: its candidates by words and by vectors, ranked as those of any retriever.
 * @param vectors undefined: BM25 alone, for the reason given in `notices`
 * @throws UserError if `mode` asks for vectors that the index does not have
 */
export async function searchChunks(
  store: IndexStore,
  vectors: VectorSearch | undefined,
  notices: readonly string[],
  query: string,
  options: SearchOptions,
): Promise<SearchResult> {
  const limit = checkedLimit(options);
  const mode: SearchMode = options.mode ?? (vectors ? 'hybrid' : 'bm25');
  if (mode !== 'bm25' && !vectors) {
    throw new UserError(
      `A ${mode} search needs an embedding model: ${notices.join(' ') || 'the index has none.'}`,
    );
  }
  const documents = options.pathGlob === undefined ? undefined : documentsMatching(store, options.pathGlob);
  const count = candidatesFor(limit);
  const words = mode === 'vector' ? [] : searchBm25(store, query, count, documents);
  const nearest = mode === 'bm25' ? [] : await vectors!(query, count, documents, options.signal);
  const isWanted = options.pathGlob === undefined ? () => true : pathMatcher(options.pathGlob);
  const found = loadPassages(store, [...words, ...nearest], isWanted);
  const hits = await rankCandidates(query, { found, words, nearest }, { ...options, mode, limit });
  return { query, mode, hits, notices: mode === 'bm25' ? [...notices] : [] };
}

function pathMatcher(glob: string | readonly string[]): (path: string) => boolean {
  return globMatcher(typeof glob === 'string' ? [glob] : glob);
}

function documentsMatching(store: IndexStore, glob: string | readonly string[]): number[] {
  const matches = pathMatcher(glob);
  const rows = store.prepare('SELECT path, document FROM files WHERE document IS NOT NULL').all();
  return [
    ...new Set(rows.filter((row) => matches(String(row['path']))).map((row) => Number(row['document']))),
  ];
}

/** Chunks with their places, in the order of the files, so that results are repeatable. */
function loadPassages(
  store: IndexStore,
  chunks: readonly ScoredChunk[],
  isWanted: (path: string) => boolean,
): Map<number, FoundPassage> {
  const ids = [...new Set(chunks.map(({ id }) => id))];
  const rows = store
    .prepare(
      `SELECT c.id, c.document, c.start_line, c.end_line, c.headings, c.heading_lines, c.text, f.folder, f.path
       FROM chunks c JOIN files f ON f.document = c.document
       WHERE c.id IN (SELECT value FROM json_each(?)) ORDER BY f.folder, f.path, c.start_line, c.id`,
    )
    .all(JSON.stringify(ids));
  const found = new Map<number, FoundPassage>();
  for (const row of rows) {
    const id = Number(row['id']);
    const path = String(row['path']);
    if (!isWanted(path)) continue;
    const place = { path, startLine: Number(row['start_line']), endLine: Number(row['end_line']) };
    const known = found.get(id);
    if (known) {
      known.duplicates.push(place);
      continue;
    }
    found.set(id, {
      ...place,
      text: String(row['text']),
      headings: parseHeadings(row['headings']),
      headingLines: Number(row['heading_lines']),
      folder: String(row['folder']),
      duplicates: [],
    });
  }
  return found;
}
