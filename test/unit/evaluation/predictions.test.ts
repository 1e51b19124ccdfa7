import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareConditions } from '../../../src/evaluation/comparisons.ts';
import { expandConditions } from '../../../src/evaluation/conditions.ts';
import { scorePrediction } from '../../../src/evaluation/metrics.ts';
import { PredictionFile, type Prediction } from '../../../src/evaluation/predictions.ts';
import { htmlReport } from '../../../src/evaluation/report/htmlReport.ts';
import { summarize, summaryTable } from '../../../src/evaluation/summary.ts';
import type { VariantId } from '../../../src/protocol/comparison.ts';
import { UserError } from '../../../src/protocol/errors.ts';

function prediction(item: string, variant: VariantId, passages: number, text: string): Prediction {
  return {
    item,
    variant,
    k: Number(variant.split(':')[1] ?? 0),
    passages,
    question: `question <${item}>`,
    goldAnswers: ['red'],
    text: ` ${text}`,
    prediction: text,
    ...scorePrediction(text, ['red']),
    answerTokens: text.length,
    promptTokens: 10 * passages,
    truncatedTokens: passages > 4 ? 7 : 0,
    stopReason: text.length > 8 ? 'length' : 'eos',
  };
}

const examples = [
  prediction('1', 'baseline', 5, 'red'),
  prediction('2', 'baseline', 5, 'blue <script>'),
  prediction('1', 'spring:2', 5, 'a red one'),
  prediction('1', 'baseline', 1, 'blue'),
];

describe('conditions', () => {
  it('expands spring over k and variants over passages; without retrieval there is one', () => {
    const conditions = expandConditions('no-rag, baseline,spring,spring:3,baseline', [1, 2], [0, 5]);
    assert.deepEqual(
      conditions.map(({ variant, k, passages }) => `${variant} ${k} ${passages}`),
      [
        'no-rag 0 0',
        'baseline 0 0',
        'baseline 0 5',
        'spring:1 1 0',
        'spring:1 1 5',
        'spring:2 2 0',
        'spring:2 2 5',
        'spring:3 3 0',
        'spring:3 3 5',
      ],
    );
  });

  it('refuses what is no variant', () => {
    assert.throws(() => expandConditions('baseline,magic', [], [1]), UserError);
    assert.throws(() => expandConditions(' ,', [], [1]), UserError);
  });
});

describe('predictions on disk', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'predictions-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('goes on after a run that was killed in the middle of a line', async () => {
    const settings = { model: 'm', tokens: null };
    {
      await using file = await PredictionFile.open(folder, settings);
      assert.deepEqual(file.earlier, []);
      await file.append(examples.slice(0, 2));
    }
    await appendFile(join(folder, 'predictions.jsonl'), '{"item": "3", "f1": 0.');
    {
      await using file = await PredictionFile.open(folder, settings);
      assert.deepEqual(file.earlier, examples.slice(0, 2));
      await file.append(examples.slice(2));
    }
    const lines = (await readFile(join(folder, 'predictions.jsonl'), 'utf8')).trimEnd().split('\n');
    assert.deepEqual(
      lines.map((line) => JSON.parse(line) as Prediction),
      examples,
    );
  });

  it('refuses a folder of another experiment', async () => {
    await assert.rejects(
      PredictionFile.open(folder, { model: 'other', tokens: null }),
      (error) => error instanceof UserError && error.message.includes('model "m", now "other"'),
    );
  });
});

describe('summaries', () => {
  const conditions = expandConditions('baseline,spring:2', [], [1, 5]);
  const summaries = summarize(conditions, examples);
  const comparisons = compareConditions([
    ...['red', 'blue'].map((text, index) => prediction(String(index), 'baseline', 5, text)),
    ...['green', 'blue'].map((text, index) => prediction(String(index), 'baseline', 1, text)),
    ...['pink', 'blue'].map((text, index) => prediction(String(index), 'no-rag', 0, text)),
    ...['red', 'red'].map((text, index) => prediction(String(index), 'spring:2', 5, text)),
    ...['red', 'red'].map((text, index) => prediction(String(index), 'spring:2', 1, text)),
  ]);

  it('takes means by condition', () => {
    assert.equal(summaries.length, 4);
    const baseline = summaries.find(({ id, passages }) => id === 'baseline' && passages === 5)!;
    const { exactMatchInterval, accuracyInterval, ...rest } = baseline;
    assert.ok(exactMatchInterval[0] > 0.05 && exactMatchInterval[1] < 0.95);
    assert.deepEqual(accuracyInterval, exactMatchInterval);
    assert.deepEqual(rest, {
      id: 'baseline',
      k: 0,
      passages: 5,
      items: 2,
      exactMatch: 0.5,
      f1: 0.5,
      precision: 0.5,
      recall: 0.5,
      accuracy: 0.5,
      // of two questions a draw is right in none, one or two
      f1Interval: [0, 1],
      precisionInterval: [0, 1],
      recallInterval: [0, 1],
      meanAnswerTokens: 8,
      meanPromptTokens: 50,
      unfinished: 1,
      truncated: 2,
    });
    assert.equal(summaries.find(({ id, passages }) => id === 'spring:2' && passages === 1)!.items, 0);
  });

  it('prints an aligned table', () => {
    const lines = summaryTable(summaries).split('\n');
    assert.equal(lines.length, 5);
    assert.equal(new Set(lines.map((line) => line.length)).size, 1);
    assert.match(lines[2]!, /^baseline +5 +2 +50\.0 /);
  });

  it('compares conditions over the same questions, each with the baseline of as many passages', () => {
    const pairs = comparisons.map(({ baseline, variant, metric, difference }) => ({
      pair: `${variant} - ${baseline}`,
      metric,
      difference,
    }));
    assert.deepEqual(pairs.slice(0, 2), [
      { pair: 'no-rag - baseline/5p', metric: 'exactMatch', difference: -0.5 },
      { pair: 'spring:2/5p - baseline/5p', metric: 'exactMatch', difference: 0.5 },
    ]);
    assert.deepEqual(pairs[2], { pair: 'spring:2/1p - baseline/1p', metric: 'exactMatch', difference: 1 });
    assert.equal(pairs.length, 9);
    assert.deepEqual(compareConditions(examples.slice(0, 2)), []);
  });

  it('writes a report without scripts, in which all text is escaped', () => {
    const html = htmlReport({
      title: 'a < b',
      settings: { model: '"m"' },
      conditions,
      summaries,
      comparisons,
      retrieval: [{ passages: 5, answerRecall: 0.75, answerPrecision: 0.125 }],
      predictions: examples,
    });
    assert.ok(html.includes('<title>a &lt; b</title>'));
    assert.ok(html.includes('blue &lt;script&gt;'));
    assert.ok(!/<script|https?:\/\/(?!www\.w3\.org)|question </.test(html));
    assert.ok(html.includes('Exact match % by passages'));
    assert.ok(html.includes('Exact match % by virtual tokens'));
    assert.ok(html.includes('F1 % by passages'));
    assert.ok(html.includes('<td>5</td><td>75.0</td><td>12.5</td>'));
    assert.equal(html.match(/<figure>/g)!.length, 5);
    assert.ok(html.includes('<td>spring:2/5p</td><td>baseline/5p</td>') && html.includes('1 passage<'));
  });
});
