import assert from 'node:assert/strict';
import { retrieveForItems } from '../../../src/evaluation/retrieval.ts';
import { UserError } from '../../../src/protocol/errors.ts';
import { LocalRetriever } from '../../../src/retrieval/localRetriever.ts';
import { prepared, retrievePassages, type Retriever } from '../../../src/retrieval/retriever.ts';
import {
  candidatesFor,
  checkedLimit,
  rankCandidates,
  type Candidates,
  type FoundPassage,
} from '../../../src/retrieval/search/rankCandidates.ts';
import type { SearchOptions, SearchResult } from '../../../src/retrieval/search/types.ts';
import { TestWorkspace } from './workspace.ts';

const passage = (text: string, path: string): FoundPassage => ({
  ...{ text, path, startLine: 1, endLine: 2, folder: '/w', duplicates: [] },
  ...{ headings: ['Title'], headingLines: 0 },
});
const candidates: Candidates<string> = {
  found: new Map([
    ['a', passage('The harbour opens at six in the morning.', 'a.md')],
    ['b', passage('Sourdough is fed with flour and water.', 'b.md')],
    ['c', passage('The harbour opens at six in the morning!', 'c.md')],
    ['d', passage('The mountain hut has forty beds.', 'd.md')],
  ]),
  words: [
    { id: 'b', score: 9 },
    { id: 'a', score: 4 },
    { id: 'gone', score: 1 },
  ],
  nearest: [
    { id: 'a', score: 0.9 },
    { id: 'c', score: 0.8 },
    { id: 'd', score: 0.1 },
  ],
};

/** A search engine elsewhere, whose ids are texts. */
class RemoteRetriever implements Retriever {
  prepared = 0;
  async *prepare(): AsyncGenerator<never> {
    await Promise.resolve();
    this.prepared++;
    yield* [];
  }
  async search(query: string, options: SearchOptions = {}): Promise<SearchResult> {
    const { mode = 'hybrid' } = options;
    const hits = await rankCandidates(query, candidates, { ...options, mode, limit: checkedLimit(options) });
    return { query, mode, hits, notices: [] };
  }
  [Symbol.dispose](): void {
    // nothing to close
  }
}

describe('retrievers', () => {
  it('rank their candidates alike: fused, of one text the best, with the places in both lists', async () => {
    const { hits } = await new RemoteRetriever().search('harbour');
    assert.deepEqual(
      hits.map(({ path, rank, bm25Rank, vectorRank, duplicates }) => [
        ...[path, rank, bm25Rank, vectorRank, duplicates.map((place) => place.path)],
      ]),
      [
        ['a.md', 1, 2, 1, ['c.md']],
        ['b.md', 2, 1, null, []],
        ['d.md', 3, null, 3, []],
      ],
    );
    assert.deepEqual(candidates.found.get('a')!.duplicates, [], 'the candidates stay as they are');
  });

  it('go by one list alone if asked, and take no more than asked', async () => {
    const paths = async (options: SearchOptions): Promise<(string | undefined)[]> =>
      (await new RemoteRetriever().search('harbour', options)).hits.map(({ path }) => path);
    assert.deepEqual(await paths({ mode: 'bm25' }), ['b.md', 'a.md']);
    assert.deepEqual(await paths({ mode: 'vector', limit: 1 }), ['a.md']);
    await assert.rejects(paths({ limit: 0 }), UserError);
    assert.equal(candidatesFor(3), 100);
    assert.equal(candidatesFor(20), 200);
  });

  it('leave the order to a reranker, before passages of one text are put together', async () => {
    const seen: string[][] = [];
    const { hits } = await new RemoteRetriever().search('harbour', {
      limit: 2,
      rerank: (query, found) => {
        seen.push([query, ...found.map(({ path }) => path)]);
        return Promise.resolve(found.toReversed().map((hit, index) => ({ ...hit, score: -index })));
      },
    });
    assert.equal(seen[0]!.length, 5, 'all candidates, twins too');
    assert.deepEqual(
      hits.map(({ path, rank, score }) => [path, rank, score]),
      [
        [seen[0]!.at(-1), 1, -0],
        [seen[0]!.at(-2), 2, -1],
      ],
    );
  });

  it('give experiments and prompts the same passages, with their headings', async () => {
    const retriever = new RemoteRetriever();
    const items = [{ id: '1', question: 'harbour', goldAnswers: ['six'], passages: [] }];
    const [item] = await retrieveForItems(items, retriever, 1);
    assert.equal(retriever.prepared, 1);
    assert.deepEqual(item!.passages, (await retrievePassages(retriever, 'harbour', 1)).passages);
    assert.equal(item!.passages[0]!.text, '# Title\nThe harbour opens at six in the morning.');
  });

  it('the local one builds the index of its folder and finds what is there', async () => {
    using workspace = new TestWorkspace({ 'a.md': '# Dornor\n\nDornor listens on port 5151.\n' });
    using retriever = LocalRetriever.open(workspace.folder, workspace.indexFile);
    await prepared(retriever);
    const { passages } = await retrievePassages(retriever, 'Which port?', 3);
    assert.deepEqual(
      passages.map(({ text, path }) => [text, path]),
      [['# Dornor\nDornor listens on port 5151.', 'a.md']],
    );
  });
});
