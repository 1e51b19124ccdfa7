/** Retrieval measures, by hand and as trec_eval orders and counts; TREC's files. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { passageQuality, passageRankings } from '../../../src/evaluation/retrieval.ts';
import { answerStringMeasures } from '../../../src/evaluation/retrievalMeasures/answerStrings.ts';
import { evaluateRun, inOrder, measure } from '../../../src/evaluation/retrievalMeasures/measures.ts';
import { readJudgements, readRun, runText } from '../../../src/evaluation/retrievalMeasures/trecFiles.ts';
import { UserError } from '../../../src/protocol/errors.ts';

const ranking = (...documents: string[]): { document: string; score: number }[] =>
  documents.map((document, index) => ({ document, score: -index }));

describe('retrieval measures', () => {
  it('of a ranking with graded judgements', () => {
    const relevance = new Map([
      ['a', 2],
      ['b', 1],
      ['c', 0],
      ['d', -1],
      ['e', 1],
    ]);
    const values = measure(relevance, ranking('c', 'b', 'x', 'a', 'd'));
    assert.deepEqual(
      { ...values, ndcg_cut_10: undefined, map: undefined },
      {
        P_3: 1 / 3,
        recall_1: 0,
        recall_3: 1 / 3,
        recall_10: 2 / 3,
        recip_rank: 1 / 2,
        ndcg_cut_10: undefined,
        map: undefined,
      },
    );
    assert.ok(Math.abs(values.map - (1 / 2 + 2 / 4) / 3) < 1e-12);
    const gain = 1 / Math.log2(3) + 2 / Math.log2(5);
    const ideal = 2 + 1 / Math.log2(3) + 1 / Math.log2(4);
    assert.ok(Math.abs(values.ndcg_cut_10 - gain / ideal) < 1e-12);
  });

  it('cut at their depth; a question without relevant documents counts as 0', () => {
    const documents = Array.from({ length: 12 }, (_, index) => `d${index}`);
    const late = measure(new Map([['d10', 1]]), ranking(...documents));
    assert.equal(late.recall_10, 0);
    assert.equal(late.ndcg_cut_10, 0);
    assert.equal(late.recip_rank, 1 / 11);
    const none = measure(new Map([['d1', 0]]), ranking('d1'));
    assert.deepEqual(new Set(Object.values(none)), new Set([0]));
  });

  it('order by score in single precision, equal ones by the last document first', () => {
    const tied = [
      { document: 'b', score: 1 },
      { document: 'c', score: 1 + 1e-9 },
      { document: 'a', score: 1 },
      { document: 'é', score: 1 },
      { document: 'z', score: 0.5 },
    ];
    assert.deepEqual(
      inOrder(tied).map(({ document }) => document),
      ['é', 'c', 'b', 'a', 'z'],
    );
  });

  it('average over the questions that are both judged and ranked', () => {
    const judged = new Map([
      ['1', new Map([['a', 1]])],
      ['2', new Map([['a', 1]])],
      ['3', new Map([['a', 1]])],
    ]);
    const { measures, perQuestion } = evaluateRun(
      judged,
      new Map([
        ['2', ranking('b', 'a')],
        ['4', ranking('a')],
        ['1', ranking('a')],
      ]),
    );
    assert.equal(measures.recip_rank, 0.75);
    assert.deepEqual(Object.keys(perQuestion).sort(), ['1', '2']);
  });

  it('by answer string, as FlashRAG counts', () => {
    const passages = ['It is in the Paris, of course.', 'No.', 'Parisian', 'London'];
    assert.deepEqual(answerStringMeasures(passages, ['paris', 'The Seine']), { recall: 1, precision: 0.5 });
    assert.deepEqual(answerStringMeasures(passages, ['Rome']), { recall: 0, precision: 0 });
    assert.deepEqual(answerStringMeasures([], ['Rome']), { recall: 0, precision: 0 });
  });
});

describe('the passages of an experiment', () => {
  const place = (path: string, score: number): object => ({ path, startLine: 1, endLine: 2, score });
  const items = [
    {
      id: '1',
      question: 'q',
      goldAnswers: ['red'],
      passages: [{ text: 'blue', ...place('a.md', 2) }, { text: 'red' }],
    },
    { id: '2', question: 'q', goldAnswers: ['red'], passages: [{ text: 'a red one', ...place('b.md', 1) }] },
  ];

  it('are measured for each number of them that is shown', () => {
    const conditions = [0, 2, 1, 2].map((passages) => ({ variant: 'baseline' as const, k: 0, passages }));
    assert.deepEqual(passageQuality(items, conditions), [
      { passages: 2, answerRecall: 1, answerPrecision: 0.75 },
      { passages: 1, answerRecall: 0.5, answerPrecision: 0.5 },
    ]);
  });

  it('become a ranking where they were retrieved', () => {
    assert.deepEqual(
      passageRankings(items),
      new Map([
        ['1', [{ document: 'a.md:1-2', score: 2 }]],
        ['2', [{ document: 'b.md:1-2', score: 1 }]],
      ]),
    );
  });
});

describe('TREC files', () => {
  let folder: string;
  let file: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'spring-trec-'));
    file = join(folder, 'file');
  });
  after(() => rmSync(folder, { recursive: true }));

  it('are read with any white space between fields, and written so that they read the same', async () => {
    writeFileSync(file, '\uFEFF# judged by hand\n1 0 a 2\r\n\n  1\t0\tb\t-1\n');
    assert.deepEqual(await readJudgements(file), new Map([['1', new Map(Object.entries({ a: 2, b: -1 }))]]));
    const rankings = new Map([
      ['7', [{ document: 'docs/a b.md:1-3', score: 0.1 + 0.2 }]],
      ['8', [{ document: 'x', score: 1e-7 }]],
    ]);
    const text = runText(rankings, 'bm25');
    assert.equal(text.split('\n')[0], '7 Q0 docs/a_b.md:1-3 1 0.30000000000000004 bm25');
    writeFileSync(file, text);
    const read = await readRun(file);
    assert.deepEqual(read.get('8'), rankings.get('8'));
    assert.equal(read.get('7')![0]!.score, 0.1 + 0.2);
  });

  it('are refused with the line that is wrong', async () => {
    const cases: [read: (file: string) => Promise<unknown>, text: string, message: RegExp][] = [
      [readJudgements, '1 0 a 1\n1 0 b\n', /line 2 has 3 fields: expected 4/],
      [readJudgements, '1 Q0 a 1 0.5 run\n', /line 1 has 6 fields: expected 4/],
      [readJudgements, '1 0 a high\n', /line 1: the relevance must be a whole number, not "high"/],
      [readJudgements, '1 0 a 1\n1 0 a 1\n', /line 2: the document a stands twice/],
      [readJudgements, '\n', /holds no lines/],
      [readRun, '1 Q0 a 1 0.5\n', /line 1 has 5 fields: expected 6/],
      [readRun, '1 Q0 a 1 nan x\n', /line 1: the score must be a number, not "nan"/],
      [readRun, '1 Q0 a 1 2 x\n1 Q0 a 2 1 x\n', /line 2: the document a stands twice/],
    ];
    for (const [read, text, message] of cases) {
      writeFileSync(file, text);
      await assert.rejects(read(file), (error) => error instanceof UserError && message.test(error.message));
    }
    await assert.rejects(readRun(join(folder, 'missing')), UserError);
  });
});
