/** A passage that a search has found, as every retriever gives it. */
import type { Passage } from './passages.ts';

/**
 * `text` is as it stands in the document (extracted text for HTML, PDF and DOCX); what a prompt shows of it is
 * `passageOf` (src/retrieval/passageText.ts).
 */
export interface SearchHit extends Passage {
  path: string;
  startLine: number;
  endLine: number;
  score: number;
  /** Place in the result, from 1. */
  rank: number;
  /** Place in the list by words (BM25) or by vectors, from 1; null if that list does not have it. */
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
