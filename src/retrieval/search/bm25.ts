/** Search by words. */
import type { IndexStore } from '../index/store.ts';
import { matchExpression, queryTerms } from './terms.ts';

/** Weights of the columns title, body and identifiers; see docs/retrieval.md for how they were chosen. */
export const columnWeights: readonly [title: number, body: number, identifiers: number] = [3, 1, 1];

/**
 * How many occurrences (a term in a chunk) a search looks at, about a microsecond each. In an index so large that the
 * query's terms have more, the most common terms are left out, but never the rarest `termsKept`.
 */
const mostOccurrences = 20_000;
const termsKept = 2;

/** Terms of a query that are looked for, the rarest in the index; and how many are counted to know which these are. */
const mostTerms = 64;
const mostCounted = 1024;

export interface ScoredChunk {
  id: number;
  /** Larger is better. */
  score: number;
}

/**
 * The best chunks by BM25 over any of the query's terms.
 * @param documents ids to which the search is confined
 */
export function searchBm25(
  store: IndexStore,
  query: string,
  limit: number,
  documents?: readonly number[],
): ScoredChunk[] {
  const terms = tellingTerms(store, queryTerms(query));
  if (terms.length === 0) return [];
  const filter = documents
    ? 'AND rowid IN (SELECT id FROM chunks WHERE document IN (SELECT value FROM json_each(?)))'
    : '';
  // Faster than ORDER BY rank, for which FTS5 sorts all matches: this way SQLite keeps the best `limit` alone.
  const rows = store
    .prepare(
      `SELECT rowid AS id, bm25(chunk_search, ${columnWeights.join(', ')}) AS score FROM chunk_search
       WHERE chunk_search MATCH ? ${filter} ORDER BY score, rowid LIMIT ?`,
    )
    .all(matchExpression(terms), ...(documents ? [JSON.stringify(documents)] : []), limit);
  return rows.map((row) => ({ id: Number(row['id']), score: -Number(row['score']) }));
}

/** The terms that occur, rarest first, as many as `mostTerms` and `mostOccurrences` allow. */
function tellingTerms(store: IndexStore, terms: readonly string[]): string[] {
  const counting = store.prepare(
    `SELECT count(*) AS n FROM
       (SELECT 1 FROM chunk_search WHERE chunk_search MATCH ? LIMIT ${mostOccurrences + 1})`,
  );
  // A question stands at the beginning or at the end of what is pasted with it.
  const half = mostCounted / 2;
  const considered = terms.length <= mostCounted ? terms : [...terms.slice(0, half), ...terms.slice(-half)];
  const counted = considered
    .map((term) => ({ term, chunks: Number(counting.get(matchExpression([term]))?.['n']) }))
    .filter(({ chunks }) => chunks > 0)
    .sort((a, b) => a.chunks - b.chunks)
    .slice(0, mostTerms);
  let occurrences = 0;
  return counted
    .filter(({ chunks }, place) => {
      occurrences += chunks;
      return place < termsKept || occurrences <= mostOccurrences;
    })
    .map(({ term }) => term);
}
