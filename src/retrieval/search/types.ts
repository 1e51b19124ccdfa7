/** A search: what is asked and what comes back. */
import type { SearchHit } from '../../protocol/search.ts';

export type { SearchHit } from '../../protocol/search.ts';

export type SearchMode = 'bm25' | 'vector' | 'hybrid';

/**
 * Puts candidates into another order, by a model that reads query and passage together, say. May leave some out; what it
 * returns has the scores that it goes by.
 */
export type Reranker = (
  query: string,
  candidates: readonly SearchHit[],
  signal: AbortSignal | undefined,
) => Promise<SearchHit[]>;

export interface SearchOptions {
  /** How many passages; 10 unless given. */
  limit?: number;
  /** Only files whose relative path matches this glob or one of these. */
  pathGlob?: string | readonly string[];
  /** Hybrid if the index has an embedding model and vectors, else BM25, unless given. */
  mode?: SearchMode;
  /** Puts the candidates into another order before the best are taken. */
  rerank?: Reranker;
  signal?: AbortSignal;
}

export interface SearchResult {
  query: string;
  mode: SearchMode;
  hits: SearchHit[];
  /** What the user should know about this search, such as why it is BM25 alone. */
  notices: string[];
}
