/** Paired statistics: against values of statsmodels, scipy and R, by hand, and by simulation. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { comparisonCells } from '../../../src/evaluation/report/comparisonTable.ts';
import { bootstrapIntervals, defaultResampling } from '../../../src/evaluation/statistics/bootstrap.ts';
import { smallestDetectable } from '../../../src/evaluation/statistics/detectable.ts';
import { holm } from '../../../src/evaluation/statistics/holm.ts';
import { exactMcNemar } from '../../../src/evaluation/statistics/mcnemar.ts';
import { comparePaired, type PairedComparison } from '../../../src/evaluation/statistics/pairedComparison.ts';
import { readScoreFiles } from '../../../src/evaluation/statistics/scoreFiles.ts';
import { scoreTable, type ScoreSource } from '../../../src/evaluation/statistics/scoreTable.ts';
import { signFlipTests } from '../../../src/evaluation/statistics/signFlip.ts';
import { UserError } from '../../../src/protocol/errors.ts';

/** Uniform in [0, 1). */
function uniforms(seed: number): () => number {
  const random = xoroshiro128plus(seed);
  return () => (random.next() >>> 0) / 2 ** 32;
}

function near(actual: number, expected: number, tolerance: number): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual}, expected ${expected}`);
}

describe("McNemar's exact test", () => {
  it('is the binomial tail, twice', () => {
    assert.equal(exactMcNemar(0, 0), 1);
    assert.equal(exactMcNemar(4, 4), 1);
    near(exactMcNemar(6, 0), 2 / 64, 1e-15);
    near(exactMcNemar(1, 7), (2 * (1 + 8)) / 256, 1e-15);
    assert.equal(exactMcNemar(8, 2), exactMcNemar(2, 8));
  });

  it('holds where powers of two leave the range of numbers', () => {
    // 2 P(X <= 950), X ~ Binomial(2000, 1/2): with the continuity correction z = 2.2137, two-sided 0.02685
    near(exactMcNemar(950, 1050), 0.02685, 1e-4);
    const p = exactMcNemar(0, 1000);
    assert.ok(p > 0 && p < 1e-299);
  });
});

describe("Holm's correction", () => {
  it("gives the values of R's p.adjust", () => {
    const adjusted = holm([0.01, 0.04, 0.03, 0.005]);
    [0.03, 0.06, 0.06, 0.02].forEach((value, index) => near(adjusted[index]!, value, 1e-12));
    assert.deepEqual(holm([0.9, 0.8]), [1, 1]);
    assert.deepEqual(holm([]), []);
  });
});

describe('bootstrap intervals', () => {
  it('are those of the normal approximation for many questions, whatever other columns there are', () => {
    const uniform = uniforms(1);
    const column = Float64Array.from({ length: 2000 }, () => uniform() * 2 + uniform());
    const others = [column.map((value) => value ** 2), new Float64Array(2000).fill(3)];
    const [interval] = bootstrapIntervals([column], defaultResampling);
    const [again, , constant] = bootstrapIntervals([column, ...others], defaultResampling);
    assert.deepEqual(again, interval);
    assert.deepEqual(constant, [3, 3]);
    const mean = column.reduce((sum, value) => sum + value, 0) / 2000;
    const deviation = Math.sqrt(column.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 2000);
    near(interval![0], mean - (1.96 * deviation) / Math.sqrt(2000), 0.002);
    near(interval![1], mean + (1.96 * deviation) / Math.sqrt(2000), 0.002);
  });

  it('depend on the seed alone', () => {
    const column = Float64Array.from({ length: 31 }, (_, index) => Math.sin(index));
    const run = (seed: number): unknown => bootstrapIntervals([column], { resamples: 500, seed });
    assert.deepEqual(run(3), run(3));
    assert.notDeepEqual(run(3), run(4));
    assert.deepEqual(bootstrapIntervals([new Float64Array()], defaultResampling), [[0, 0]]);
  });
});

describe('sign-flip tests', () => {
  it('count all assignments of few differences; on right and wrong answers they are McNemar’s test', () => {
    const [p] = signFlipTests([Float64Array.of(0, 1, 0, 1, 1, 0, -1, 1, 1, 1)], defaultResampling);
    near(p!, exactMcNemar(6, 1), 1e-15);
    // of 3, 2, 1: only +++ and --- are as far from 0
    assert.deepEqual(signFlipTests([Float64Array.of(3, 2, 1)], defaultResampling), [2 / 8]);
    assert.deepEqual(signFlipTests([new Float64Array(40)], defaultResampling), [1]);
  });

  it('count equal sums as equal though they are rounded differently', () => {
    // 0.1 + 0.2 - 0.3 is not 0 in floating point; all of the 8 assignments are at least as extreme as it
    assert.deepEqual(signFlipTests([Float64Array.of(0.1, 0.2, -0.3)], defaultResampling), [1]);
  });

  it('draw signs where there are many differences, close to the exact test', () => {
    const differences = Float64Array.from({ length: 60 }, (_, index) => (index < 38 ? 1 : -1));
    const [p] = signFlipTests([differences], defaultResampling);
    near(p!, exactMcNemar(38, 22), 0.006);
    const [least] = signFlipTests([new Float64Array(60).fill(1)], { resamples: 999, seed: 0 });
    assert.equal(least, 1 / 1000);
  });
});

describe('the smallest detectable difference', () => {
  it('is found in four of five simulated experiments', () => {
    const uniform = uniforms(7);
    const questions = 600;
    const discordant = 0.3;
    let found = 0;
    const simulate = (difference: number): Float64Array =>
      Float64Array.from({ length: questions }, () => {
        const draw = uniform();
        if (draw < (discordant + difference) / 2) return 1;
        return draw < discordant ? -1 : 0;
      });
    const difference = smallestDetectable(simulate(0.06), true)!;
    near(difference, 0.0624, 0.005); // 2.8016 sqrt((0.3 - 0.06^2) / 600)
    for (let run = 0; run < 1000; run++) {
      const answers = simulate(difference);
      const won = answers.filter((value) => value > 0).length;
      const lost = answers.filter((value) => value < 0).length;
      if (exactMcNemar(won, lost) <= 0.05) found++;
    }
    near(found / 1000, 0.8, 0.06);
  });

  it('says that few questions show nothing, and needs six that differ', () => {
    assert.equal(smallestDetectable(Float64Array.of(1, 0, 0), true), undefined);
    assert.equal(smallestDetectable(new Float64Array(100), true), 0.06);
    assert.equal(smallestDetectable(new Float64Array(100), false), undefined);
  });
});

function source(name: string, scores: Record<string, number[]>, metric = 'f1'): ScoreSource {
  const answers = Object.entries(scores).flatMap(([variant, values]) =>
    values.map((value, index) => ({
      item: String(index),
      variant,
      scores: { [metric]: value },
      where: `${name}, ${variant} ${index}`,
    })),
  );
  return { name, answers };
}

describe('paired comparisons', () => {
  it('take every other condition against the baseline', () => {
    const table = scoreTable([source('a', { first: [0, 1, 0], baseline: [1, 1, 0], third: [0.5, 1, 0.25] })]);
    const [first, third] = comparePaired(table, defaultResampling);
    assert.equal(first!.variant, 'first');
    assert.equal(first!.baseline, 'baseline');
    // one of the metric's values is no 0 or 1, so all of its comparisons are by sign flips
    assert.deepEqual([first!.test, third!.test], ['sign-flip', 'sign-flip']);
    assert.deepEqual([first!.won, first!.lost, third!.won, third!.lost], [0, 1, 1, 1]);
    near(third!.difference, -0.25 / 3, 1e-12);
    const [other] = comparePaired(table, defaultResampling, 'third');
    assert.deepEqual([other!.baseline, other!.variant], ['third', 'first']);
  });

  it('put the source before names that several sources have', () => {
    const table = scoreTable([source('a', { x: [0, 1] }), source('b', { x: [1, 1] })]);
    const [only] = comparePaired(table, defaultResampling);
    assert.deepEqual([only!.baseline, only!.variant, only!.test], ['a/x', 'b/x', 'mcnemar-exact']);
  });

  it('are refused where they would be wrong, and the message says why', () => {
    const refused = (sources: ScoreSource[], message: RegExp, baseline?: string): void =>
      assert.throws(
        () => comparePaired(scoreTable(sources), defaultResampling, baseline),
        (error) => error instanceof UserError && message.test(error.message),
      );
    const pair = source('run', { x: [0, 1], y: [1, 1] });
    refused([pair], /no condition "z" to compare with: .* x, y/, 'z');
    refused([source('run', { x: [0, 1] })], /no condition to compare/);
    refused(
      [source('run', { x: [0, 1, 1], y: [1, 1] })],
      /run: x answers 3, run: y 2, without "2"\..*let an interrupted run finish/s,
    );
    refused([pair, source('other', { z: [0, 1, 1, 1] })], /other: z 4, with "2", "3" besides/);
    refused([{ name: 'r', answers: [...pair.answers, pair.answers[0]!] }], /answers question "0" as x again/);
    refused([pair, source('other', { z: [0, 1] }, 'bleu')], /share no metric/);
    const holed = { ...pair.answers[1]!, scores: {} };
    refused([{ name: 'r', answers: [pair.answers[0]!, holed] }], /run, x 1 has no number in "f1"/);
    // a number that is missing in the first line, too
    refused([{ name: 'r', answers: [holed, pair.answers[0]!] }], /run, x 1 has no number in "f1"/);
    refused([], /no answers/);
  });
});

describe('files of scored answers', () => {
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'spring-scores-'))));
  after(() => rmSync(folder, { recursive: true }));

  it('are read from runs and from lines of other programs; prompts’ lengths are no scores', async () => {
    mkdirSync(join(folder, 'run'));
    const line = { item: 'q1', variant: 'spring:3', k: 3, passages: 5, promptTokens: 7, f1: 0.5, text: '1' };
    writeFileSync(join(folder, 'run', 'predictions.jsonl'), `${JSON.stringify(line)}\n`);
    writeFileSync(join(folder, 'other.jsonl'), '{"item": 1, "variant": "x", "rouge": 2}\r\n\r\n');
    const [run, other] = await readScoreFiles([join(folder, 'run'), join(folder, 'other.jsonl')]);
    assert.equal(run!.name, 'run');
    assert.deepEqual(run!.answers[0]!.scores, { f1: 0.5 });
    assert.equal(run!.answers[0]!.passages, 5);
    assert.equal(other!.name, 'other');
    assert.equal(other!.answers[0]!.item, '1');
    assert.deepEqual(other!.answers[0]!.scores, { rouge: 2 });
  });

  it('are refused with the line that is wrong', async () => {
    const file = join(folder, 'broken.jsonl');
    const good = '{"item": "1", "variant": "x", "f1": 1}';
    const cases: [string, RegExp][] = [
      ['{"item": "2", "variant": "x", "f1"', /broken\.jsonl, line 2 is not valid JSON/],
      ['{"item": "2", "variant": "x", "f1": 1e999}', /line 2: "f1" is out of the range/],
      ['{"variant": "x", "f1": 1}', /line 2 has no "item"/],
      ['{"item": "2", "f1": 1}', /line 2 has no "variant"/],
      ['[1]', /line 2 is not a JSON object/],
    ];
    for (const [line, message] of cases) {
      writeFileSync(file, `${good}\n${line}\n`);
      await assert.rejects(
        readScoreFiles([file]),
        (error) => error instanceof UserError && message.test(error.message),
        line,
      );
    }
    // Python writes NaN where nothing was measured
    writeFileSync(file, `${good}\n{"item": "2", "variant": "x", "f1": NaN}\n`);
    await assert.rejects(
      async () => scoreTable(await readScoreFiles([file])),
      (error) => error instanceof UserError && /line 2/.test(error.message) && /f1/.test(error.message),
    );
    await assert.rejects(readScoreFiles([join(folder, 'missing')]), UserError);
    await assert.rejects(readScoreFiles([folder]), /predictions\.jsonl is missing/);
  });
});

describe('the table of comparisons', () => {
  it('shows shares in points of percent with a sign, other numbers as they are, and no -0.0', () => {
    const comparison: PairedComparison = {
      ...{
        baseline: 'a',
        variant: 'b',
        metric: 'f1',
        items: 30,
        difference: -0.0001,
        interval: [-0.02, 0.0304],
      },
      ...{ p: 0.00042, pHolm: 0.25, won: 3, lost: 4, test: 'sign-flip', smallestDetectable: null },
    };
    assert.deepEqual(comparisonCells(comparison).slice(3), [
      ...['30', '0.0', '-2.0 to +3.0', '3', '4', '4e-4', '0.250', '-'],
    ]);
    const tokens = comparisonCells({ ...comparison, metric: 'answerTokens', smallestDetectable: 1.234 });
    assert.deepEqual(tokens.slice(4, 6), ['-0.000100', '-0.0200 to +0.0304']);
    assert.equal(tokens.at(-1), '1.23');
  });
});
