/** `spring compare` and `spring trec-eval` against golden values of statsmodels, scipy and trec_eval. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { RetrievalEvaluation } from '../../src/evaluation/retrievalMeasures/measures.ts';
import { runText } from '../../src/evaluation/retrievalMeasures/trecFiles.ts';
import type { PairedComparison } from '../../src/evaluation/statistics/pairedComparison.ts';
import { oracleFolder } from '../support/oracle.ts';

interface Golden {
  variants: { id: string; exactMatch: number[]; f1: number[] }[];
  comparisons: {
    a: string;
    b: string;
    lost: number;
    won: number;
    mcnemarExactP: number;
    mcnemarHolmP: number;
    exactMatchDifference: number;
    f1Difference: number;
    f1DifferenceInterval95: [number, number];
    f1SignFlipP: number;
    intervalTolerance: number;
    pTolerance: number;
  }[];
  retrieval: {
    judgements: Record<string, Record<string, number>>;
    rankings: Record<string, string[]>;
    mean: Record<string, number>;
    perQuestion: Record<string, Record<string, number>>;
  };
}

function spring(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', 'src/cli/main.ts', ...args], {
    cwd: resolve(import.meta.dirname, '../..'),
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
  });
}

describe('statistics on the command line', () => {
  const goldenFile = join(oracleFolder, 'statistics', 'golden.json');
  if (!existsSync(goldenFile)) {
    if (process.env['CI']) throw new Error(`CI requires ${goldenFile}.`);
    console.warn(`SKIPPED: no ${goldenFile}`);
    return;
  }
  const golden = JSON.parse(readFileSync(goldenFile, 'utf8')) as Golden;
  let folder: string;
  let predictions: string;
  let qrels: string;
  let run: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'spring-statistics-'));
    mkdirSync(join(folder, 'run'));
    predictions = join(folder, 'run', 'predictions.jsonl');
    const lines = golden.variants.flatMap(({ id, exactMatch, f1 }) =>
      exactMatch.map((value, item) =>
        JSON.stringify({ item: `q${item}`, variant: id, exactMatch: value, f1: f1[item] }),
      ),
    );
    writeFileSync(predictions, `${lines.join('\n')}\n`);
    const { judgements, rankings } = golden.retrieval;
    qrels = join(folder, 'qrels');
    const judged = Object.entries(judgements).flatMap(([question, documents]) =>
      Object.entries(documents).map(([document, relevance]) => `${question} 0 ${document} ${relevance}\n`),
    );
    writeFileSync(qrels, judged.join(''));
    run = join(folder, 'run.trec');
    const ranked = Object.entries(rankings).map(
      ([question, documents]): [string, { document: string; score: number }[]] => [
        question,
        documents.map((document, index) => ({ document, score: 1 / (index + 1) })),
      ],
    );
    writeFileSync(run, runText(new Map(ranked), 'golden'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('compares as statsmodels and scipy do', () => {
    const { status, stdout } = spring('compare', join(folder, 'run'), '--baseline', 'baseline', '--json');
    assert.equal(status, 0);
    const { comparisons } = JSON.parse(stdout) as { comparisons: PairedComparison[] };
    assert.equal(comparisons.length, 2 * golden.comparisons.length);
    for (const expected of golden.comparisons) {
      const find = (metric: string): PairedComparison =>
        comparisons.find((found) => found.metric === metric && found.variant === expected.b)!;
      const exact = find('exactMatch');
      assert.equal(exact.baseline, expected.a);
      assert.equal(exact.items, 240);
      assert.equal(exact.test, 'mcnemar-exact');
      assert.deepEqual([exact.won, exact.lost], [expected.won, expected.lost]);
      assert.ok(Math.abs(exact.p / expected.mcnemarExactP - 1) < 1e-9);
      assert.ok(Math.abs(exact.pHolm / expected.mcnemarHolmP - 1) < 1e-9);
      assert.ok(Math.abs(exact.difference - expected.exactMatchDifference) < 1e-12);
      const f1 = find('f1');
      assert.equal(f1.test, 'sign-flip');
      assert.ok(Math.abs(f1.difference - expected.f1Difference) < 1e-12);
      assert.ok(Math.abs(f1.p - expected.f1SignFlipP) <= expected.pTolerance);
      expected.f1DifferenceInterval95.forEach((end, index) =>
        assert.ok(Math.abs(f1.interval[index]! - end) <= expected.intervalTolerance),
      );
    }
  });

  it('gives the same for the same seed, and a table for people', () => {
    const once = (...args: string[]): string => spring('compare', predictions, ...args).stdout;
    assert.equal(once('--seed', '5', '--resamples', '300'), once('--seed', '5', '--resamples', '300'));
    assert.notEqual(once('--seed', '5', '--resamples', '300'), once('--seed', '6', '--resamples', '300'));
    assert.match(
      once(),
      /^exactMatch +spring:10 +baseline +240 +\+10\.4 +\+\d\.\d to \+1\d\.\d +36 +11 +3e-4 +0\.001 /m,
    );
  });

  it('says what is wrong', () => {
    const unknown = spring('compare', predictions, '--baseline', 'magic');
    assert.equal(unknown.status, 1);
    assert.match(unknown.stderr, /^There is no condition "magic".* baseline, spring:10, .*\n$/);
    const short = join(folder, 'short.jsonl');
    writeFileSync(short, '{"item": "q1", "variant": "other", "f1": 0.5}\n');
    const other = spring('compare', predictions, short);
    assert.equal(other.status, 1);
    assert.match(
      other.stderr,
      /not for the same questions: run: baseline answers 240, short: other 1, without "q0"/,
    );
    writeFileSync(short, '{"item": "q1"\n');
    assert.match(spring('compare', short).stderr, /short\.jsonl, line 1 is not valid JSON/);
    assert.equal(spring('compare', predictions, '--resamples', '3').status, 2);
    assert.equal(spring('compare').status, 2);
  });

  it('measures rankings as trec_eval does', () => {
    const { status, stdout } = spring('trec-eval', qrels, run, '--json');
    assert.equal(status, 0);
    const { measures, perQuestion } = JSON.parse(stdout) as RetrievalEvaluation;
    assert.deepEqual(Object.keys(measures).sort(), Object.keys(golden.retrieval.mean).sort());
    for (const [name, value] of Object.entries(golden.retrieval.mean)) {
      assert.ok(Math.abs(measures[name as keyof typeof measures] - value) < 1e-12, name);
    }
    // kept with six digits
    for (const [question, values] of Object.entries(golden.retrieval.perQuestion)) {
      for (const [name, value] of Object.entries(values)) {
        const found = perQuestion[question]![name as keyof typeof measures];
        assert.ok(Math.abs(found - value) <= 5.1e-7, `${question} ${name}`);
      }
    }
    const table = spring('trec-eval', qrels, run).stdout;
    assert.match(table, /^questions +30$/m);
    assert.match(table, /^ndcg_cut_10 +0\.1584$/m);
  });

  it('says what of TREC’s files does not fit', () => {
    const other = join(folder, 'other.trec');
    writeFileSync(other, 'x1 Q0 d1 1 0.5 other\n');
    const { status, stderr } = spring('trec-eval', qrels, other);
    assert.equal(status, 1);
    assert.match(stderr, /no question in common: the first judges q0/);
    const swapped = spring('trec-eval', run, qrels);
    assert.equal(swapped.status, 1);
    assert.match(swapped.stderr, /line 1/);
  });
});
