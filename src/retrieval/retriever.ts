/** Where passages come from: the index on this machine, or a search engine elsewhere. */
import type { Passage } from '../protocol/passages.ts';
import { passageOf } from './passageText.ts';
import type { SearchOptions, SearchResult } from './search/types.ts';
import type { IndexProgress } from './types.ts';

/**
 * A retriever gives candidates and lets `rankCandidates` (search/rankCandidates.ts) make the result of them, so that
 * results of different retrievers can be compared.
 */
export interface Retriever extends Disposable {
  /**
   * Brings what is searched up to date, where that is the retriever's business.
   * @throws UserError, CancelledError
   */
  prepare(signal?: AbortSignal): AsyncIterable<IndexProgress>;
  /**
   * The best passages for a query, best first.
   * @throws UserError, CancelledError
   */
  search(query: string, options?: SearchOptions): Promise<SearchResult>;
}

/**
 * The best passages for a question, as a prompt shows them.
 * @param top how many; the paper uses 3
 * @throws UserError, CancelledError
 */
export async function retrievePassages(
  retriever: Retriever,
  question: string,
  top: number,
  signal?: AbortSignal,
): Promise<{ passages: Passage[]; notices: string[] }> {
  const { hits, notices } = await retriever.search(question, { limit: top, ...(signal && { signal }) });
  return { passages: hits.map(passageOf), notices };
}

/** Brings a retriever up to date; its progress is of no interest. */
export async function prepared(retriever: Retriever, signal?: AbortSignal): Promise<void> {
  const progress = retriever.prepare(signal)[Symbol.asyncIterator]();
  while (!(await progress.next()).done);
}
