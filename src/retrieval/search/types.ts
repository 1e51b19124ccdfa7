import type { Passage } from '../../protocol/passages.ts';

export type SearchMode = 'bm25' | 'vector' | 'hybrid';

export interface SearchOptions {
  /** How many passages; 10 unless given. */
  limit?: number;
  /** Only files whose relative path matches this glob or one of these. */
  pathGlob?: string | readonly string[];
  /** Hybrid if the index has an embedding model and vectors, else BM25, unless given. */
  mode?: SearchMode;
  signal?: AbortSignal;
}

/** A passage found. `text` is as it stands in the document (extracted text for HTML, PDF and DOCX). */
export interface SearchHit extends Passage {
  path: string;
  startLine: number;
  endLine: number;
  score: number;
  /** Place in the result, from 1. */
  rank: number;
  /** Place in the list by BM25 or by vectors, from 1; null if that list does not have it. */
  bm25Rank: number | null;
  vectorRank: number | null;
  /** The title path: the document's title and the headings above, outermost first. */
  headings: string[];
  /** How many lines at the start of `text` are the section's own heading. */
  headingLines: number;
  /** The workspace folder (absolute) that `path` is relative to. */
  folder: string;
  /** Where else the same text, or nearly the same, was found. */
  duplicates: { path: string; startLine: number; endLine: number }[];
}

export interface SearchResult {
  query: string;
  mode: SearchMode;
  hits: SearchHit[];
  /** What the user should know about this search, such as why it is BM25 alone. */
  notices: string[];
}
