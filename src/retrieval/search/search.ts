/** A search: by words, by vectors or both. */
import { UserError } from '../../protocol/errors.ts';
import { globMatcher } from '../files/glob.ts';
import { parseHeadings, type IndexStore } from '../index/store.ts';
import { searchBm25, type ScoredChunk } from './bm25.ts';
import { fuseRanks } from './fusion.ts';
import { areNearDuplicates, wordSet, type WordSet } from './nearDuplicates.ts';
import type { SearchHit, SearchMode, SearchOptions, SearchResult } from './types.ts';

/** The nearest chunks to a query by vectors; confined to `documents` if given. */
export type VectorSearch = (
  query: string,
  limit: number,
  documents: readonly number[] | undefined,
  signal: AbortSignal | undefined,
) => Promise<ScoredChunk[]>;

/** Candidates of each ranking: enough for fusion and for the duplicates that fall out. */
const candidatesPerHit = 10;
const fewestCandidates = 100;

/**
 * Searches the index.
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
  const limit = options.limit ?? 10;
  if (!Number.isInteger(limit) || limit < 1)
    throw new UserError(`Cannot return ${limit} passages; ask for 1 or more.`);
  const mode: SearchMode = options.mode ?? (vectors ? 'hybrid' : 'bm25');
  if (mode !== 'bm25' && !vectors) {
    throw new UserError(
      `A ${mode} search needs an embedding model: ${notices.join(' ') || 'the index has none.'}`,
    );
  }
  const documents = options.pathGlob === undefined ? undefined : documentsMatching(store, options.pathGlob);
  const count = Math.max(fewestCandidates, limit * candidatesPerHit);
  const byWords = mode === 'vector' ? [] : searchBm25(store, query, count, documents);
  const byVectors = mode === 'bm25' ? [] : await vectors!(query, count, documents, options.signal);
  const wordRanks = ranksOf(byWords);
  const vectorRanks = ranksOf(byVectors);
  let scored: Map<number, number>;
  if (mode === 'hybrid') scored = fuseRanks([byWords.map(({ id }) => id), byVectors.map(({ id }) => id)]);
  else scored = new Map((mode === 'bm25' ? byWords : byVectors).map(({ id, score }) => [id, score]));
  const isWanted = options.pathGlob === undefined ? () => true : pathMatcher(options.pathGlob);
  const candidates = loadCandidates(store, scored, isWanted);
  for (const { id, hit } of candidates) {
    hit.bm25Rank = wordRanks.get(id) ?? null;
    hit.vectorRank = vectorRanks.get(id) ?? null;
  }
  return {
    query,
    mode,
    hits: distinct(candidates, query, limit),
    notices: mode === 'bm25' ? [...notices] : [],
  };
}

function ranksOf(chunks: readonly ScoredChunk[]): Map<number, number> {
  return new Map(chunks.map(({ id }, index) => [id, index + 1]));
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

interface Candidate {
  id: number;
  hit: SearchHit;
}

/** The chunks with their places, best first; equal scores in the order of the files, so that results are repeatable. */
function loadCandidates(
  store: IndexStore,
  scored: ReadonlyMap<number, number>,
  isWanted: (path: string) => boolean,
): Candidate[] {
  const rows = store
    .prepare(
      `SELECT c.id, c.document, c.start_line, c.end_line, c.headings, c.heading_lines, c.text, f.folder, f.path
       FROM chunks c JOIN files f ON f.document = c.document
       WHERE c.id IN (SELECT value FROM json_each(?)) ORDER BY f.folder, f.path, c.start_line, c.id`,
    )
    .all(JSON.stringify([...scored.keys()]));
  const candidates = new Map<number, Candidate>();
  for (const row of rows) {
    const id = Number(row['id']);
    const path = String(row['path']);
    if (!isWanted(path)) continue;
    const place = { path, startLine: Number(row['start_line']), endLine: Number(row['end_line']) };
    const known = candidates.get(id);
    if (known) {
      known.hit.duplicates.push(place);
      continue;
    }
    const hit: SearchHit = {
      ...place,
      text: String(row['text']),
      score: scored.get(id)!,
      rank: 0,
      bm25Rank: null,
      vectorRank: null,
      headings: parseHeadings(row['headings']),
      headingLines: Number(row['heading_lines']),
      folder: String(row['folder']),
      duplicates: [],
    };
    candidates.set(id, { id, hit });
  }
  return [...candidates.values()].sort((a, b) => b.hit.score - a.hit.score);
}

/** The first `limit` candidates that say different things. */
function distinct(candidates: readonly Candidate[], query: string, limit: number): SearchHit[] {
  const asked = wordSet(query).words;
  const kept: { hit: SearchHit; words: WordSet }[] = [];
  for (const { hit } of candidates) {
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
