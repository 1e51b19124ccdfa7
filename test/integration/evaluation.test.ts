import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readVirtualTokens } from '../../src/checkpoint/virtualTokens.ts';
import { Decoder } from '../../src/decoder/decoder.ts';
import { expandConditions } from '../../src/evaluation/conditions.ts';
import { runExperiment, type Experiment } from '../../src/evaluation/experiment.ts';
import type { Prediction } from '../../src/evaluation/predictions.ts';
import { readEvaluationData } from '../../src/evaluation/questions.ts';
import { summarize } from '../../src/evaluation/summary.ts';
import { CancelledError } from '../../src/protocol/errors.ts';
import { LocalBackend } from '../../src/methods/localBackend.ts';
import { planRequest } from '../../src/methods/prepare.ts';
import { demoFolder } from '../support/oracle.ts';

const dataFile = resolve(import.meta.dirname, '../../../shared/demo/qa-test.jsonl');

describe('an experiment on the demo model', () => {
  if (!existsSync(dataFile)) {
    if (process.env['CI']) throw new Error(`CI requires ${dataFile}.`);
    console.warn(`SKIPPED: no ${dataFile}`);
    return;
  }
  const conditions = expandConditions('no-rag,baseline,spring:10', [], [5]);
  let decoder: Decoder;
  let backend: LocalBackend;
  let experiment: Experiment;
  before(async () => {
    decoder = await Decoder.open(demoFolder, { device: 'cpu' });
    const virtualTokens = await readVirtualTokens(join(demoFolder, 'spring-50.pt'));
    const { items } = await readEvaluationData(dataFile);
    backend = new LocalBackend(decoder, { model: 'demo', folder: demoFolder });
    experiment = {
      items: items.slice(0, 12),
      conditions,
      settings: { maxNewTokens: 24 },
      request: ({ question, passages }, { variant }) =>
        planRequest(variant, { question, passages, virtualTokens }),
    };
  });
  after(() => decoder.dispose());

  const run = async (options: Partial<Experiment>): Promise<Prediction[]> => {
    const predictions: Prediction[] = [];
    for await (const batch of runExperiment(backend, { ...experiment, ...options }))
      predictions.push(...batch);
    return predictions;
  };
  const texts = (predictions: readonly Prediction[]): string[] =>
    predictions.map(({ item, variant, text }) => `${item} ${variant} ${text}`).sort();

  it('finds what virtual tokens do, and the same in batches of any size', async () => {
    const predictions = await run({});
    assert.equal(predictions.length, 36);
    const [noRag, baseline, spring] = summarize(conditions, predictions);
    assert.ok(noRag!.exactMatch <= baseline!.exactMatch);
    assert.ok(spring!.exactMatch > baseline!.exactMatch + 0.3);
    assert.deepEqual(texts(await run({ batchRows: 5 })), texts(predictions));
  });

  it('does not ask again what is done', async () => {
    const predictions = await run({});
    const rest = await run({ done: predictions.slice(3) });
    assert.deepEqual(texts(rest), texts(predictions.slice(0, 3)));
  });

  it('judges what is extracted', async () => {
    const [first] = await run({ extractAnswer: () => ' Emil Higrel ', items: experiment.items.slice(0, 1) });
    assert.equal(first!.prediction, 'Emil Higrel');
    assert.equal(first!.exactMatch, 1);
  });

  it('can be cancelled between batches', async () => {
    const controller = new AbortController();
    const batches: Prediction[][] = [];
    await assert.rejects(async () => {
      for await (const batch of runExperiment(backend, { ...experiment, batchRows: 3 }, controller.signal)) {
        batches.push(batch);
        controller.abort();
      }
    }, CancelledError);
    assert.equal(batches.length, 1);
  });
});
