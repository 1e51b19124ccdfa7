import type { IndexStore } from '../index/store.ts';
import { matchExpression, queryTerms } from './terms.ts';

/** Weights of the columns title, body and identifiers; see docs/retrieval.md for how they were chosen. */
export const columnWeights: readonly [title: number, body: number, identifiers: number] = [3, 1, 1];

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
  const terms = queryTerms(query);
  if (terms.length === 0) return [];
  const filter = documents
    ? `AND rowid IN (SELECT id FROM chunks WHERE document IN (SELECT value FROM json_each(?)))`
    : '';
  // rank IS ordered inside FTS5 (no sorting of all matches by SQLite) when it is named alone in ORDER BY.
  const rows = store
    .prepare(
      `SELECT rowid AS id, rank AS score FROM chunk_search
       WHERE chunk_search MATCH ? AND rank MATCH ? ${filter} ORDER BY rank LIMIT ?`,
    )
    .all(
      matchExpression(terms),
      `bm25(${columnWeights.join(', ')})`,
      ...(documents ? [JSON.stringify(documents)] : []),
      limit,
    );
  return rows.map((row) => ({ id: Number(row['id']), score: -Number(row['score']) }));
}
