/**
 * From candidates to a result, the same for every retriever: the list by words and the list by vectors are fused, reranked
 * if there is a reranker, and of passages that say the same the best one stays.
 */
import { UserError } from '../../protocol/errors.ts';
import type { SearchHit } from '../../protocol/search.ts';
import { fuseRanks } from './fusion.ts';
import { areNearDuplicates, wordSet, type WordSet } from './nearDuplicates.ts';
import type { SearchMode, SearchOptions } from './types.ts';

/** Candidates of each list: enough for fusion and for the duplicates that fall out. */
const candidatesPerHit = 10;
const fewestCandidates = 100;

/** A passage as a retriever finds it, before it has a place in a result. */
export type FoundPassage = Omit<SearchHit, 'score' | 'rank' | 'bm25Rank' | 'vectorRank'>;

/** Larger is better. */
interface ScoredCandidate<Id> {
  id: Id;
  score: number;
}

/** What a retriever finds for a query. */
export interface Candidates<Id extends number | string> {
  /** In the order that decides between equal scores; what a list has and this has not is left out. */
  found: ReadonlyMap<Id, FoundPassage>;
  /** The best by words, best first. */
  words: readonly ScoredCandidate<Id>[];
  /** The nearest vectors, nearest first. */
  nearest: readonly ScoredCandidate<Id>[];
}

/** How many passages are asked for. @throws UserError if it is no number of passages */
export function checkedLimit({ limit = 10 }: SearchOptions): number {
  if (!Number.isInteger(limit) || limit < 1)
    throw new UserError(`Cannot return ${limit} passages; ask for 1 or more.`);
  return limit;
}

/** How long the lists of candidates should be for a result of so many passages. */
export function candidatesFor(limit: number): number {
  return Math.max(fewestCandidates, limit * candidatesPerHit);
}

/** The best `limit` passages that say different things, best first. */
export async function rankCandidates<Id extends number | string>(
  query: string,
  { found, words, nearest }: Candidates<Id>,
  { mode, limit, rerank, signal }: SearchOptions & { mode: SearchMode; limit: number },
): Promise<SearchHit[]> {
  const scores = new Map(
    mode === 'hybrid'
      ? fuseRanks([words.map(({ id }) => id), nearest.map(({ id }) => id)])
      : (mode === 'bm25' ? words : nearest).map(({ id, score }) => [id, score]),
  );
  const [wordRanks, vectorRanks] = [ranksOf(words), ranksOf(nearest)];
  const candidates: SearchHit[] = [];
  for (const [id, passage] of found) {
    const score = scores.get(id);
    if (score === undefined) continue;
    const ranks = { bm25Rank: wordRanks.get(id) ?? null, vectorRank: vectorRanks.get(id) ?? null };
    candidates.push({ ...passage, duplicates: [...passage.duplicates], score, rank: 0, ...ranks });
  }
  candidates.sort((a, b) => b.score - a.score);
  return distinct(rerank ? await rerank(query, candidates, signal) : candidates, query, limit);
}

function ranksOf<Id>(candidates: readonly ScoredCandidate<Id>[]): Map<Id, number> {
  return new Map(candidates.map(({ id }, index) => [id, index + 1]));
}

/** The first `limit` candidates that say different things. */
function distinct(candidates: readonly SearchHit[], query: string, limit: number): SearchHit[] {
  const asked = wordSet(query).words;
  const kept: { hit: SearchHit; words: WordSet }[] = [];
  for (const hit of candidates) {
    const words = wordSet(hit.text);
    const twin = kept.find((other) => areNearDuplicates(words, other.words, asked));
    if (twin) {
      const { path, startLine, endLine } = hit;
      twin.hit.duplicates.push({ path, startLine, endLine }, ...hit.duplicates);
    } else if (kept.length < limit) {
      kept.push({ hit: { ...hit, rank: kept.length + 1 }, words });
    }
  }
  return kept.map(({ hit }) => hit);
}
