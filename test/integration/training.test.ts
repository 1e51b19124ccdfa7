import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { readVirtualTokens } from '../../src/checkpoint/virtualTokens.ts';
import { Decoder } from '../../src/decoder/decoder.ts';
import { CancelledError } from '../../src/protocol/errors.ts';
import type { TrainingEvent, TrainingSettings } from '../../src/protocol/training.ts';
import { readTrainingData, type TrainingItem } from '../../src/spring/training/data.ts';
import { logged } from '../../src/spring/training/log.ts';
import { defaultTrainingSettings } from '../../src/spring/training/settings.ts';
import { statePath, trainVirtualTokens, type TrainingRun } from '../../src/spring/training/trainer.ts';
import { demoFolder } from '../support/oracle.ts';

const settings: TrainingSettings = {
  ...defaultTrainingSettings,
  numTokens: 6,
  steps: 8,
  batchSize: 3,
  learningRate: 0.01,
  maxLength: 512,
  validateEvery: 3,
  saveEvery: 2,
  seed: 5,
};

/** Questions in the demo model's own style, with 0 to 3 passages. */
const lines = Array.from({ length: 7 }, (_, i) =>
  JSON.stringify({
    question: `On which port does Service${i} run?`,
    target: [`${4000 + 17 * i}`],
    ret_passages: Array.from(
      { length: i % 4 },
      (_, j) => `Service${i + j} listens on port ${4000 + 17 * (i + j)}. It is written in Kotlin.`,
    ),
  }),
);

describe('training virtual tokens', () => {
  let folder: string;
  let decoder: Decoder;
  let items: TrainingItem[];
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'training-'));
    await writeFile(join(folder, 'data.jsonl'), lines.join('\n'));
    ({ items } = await readTrainingData(join(folder, 'data.jsonl')));
    decoder = await Decoder.open(demoFolder, { device: 'cpu', precision: 'f32' });
  });
  after(async () => {
    await decoder.dispose();
    await rm(folder, { recursive: true });
  });

  const runOf = (name: string, changes: Partial<TrainingSettings> = {}): TrainingRun => ({
    decoder,
    items: items.slice(2),
    validationItems: items.slice(0, 2),
    settings: { ...settings, ...changes },
    initialisation: { from: 'text' },
    path: join(folder, name),
  });
  const train = async (run: TrainingRun): Promise<TrainingEvent[]> => {
    const events: TrainingEvent[] = [];
    for await (const event of logged(trainVirtualTokens(run), `${run.path}.log`)) events.push(event);
    return events;
  };
  const bytes = (name: string): Promise<Buffer> => readFile(join(folder, name));

  it('lowers the loss, reports every step and writes the best rows with metadata', async () => {
    const events = await train({ ...runOf('whole.pt'), metadata: { backbone: 'demo' } });
    const steps = events.filter((event) => event.type === 'step');
    assert.deepEqual(
      steps.map(({ step }) => step),
      [1, 2, 3, 4, 5, 6, 7, 8],
    );
    assert.ok(new Set(steps.map(({ k }) => k)).size > 1);
    assert.ok(steps.every(({ k }) => k >= 1 && k <= settings.numTokens));
    const validations = events.filter((event) => event.type === 'validation');
    assert.deepEqual(
      validations.map(({ step }) => step),
      [3, 6, 8],
    );
    assert.ok(validations.at(-1)!.loss < validations[0]!.loss);
    const done = events.at(-1)!;
    assert.ok(done.type === 'done' && done.reason === 'finished');
    const best = validations.reduce((a, b) => (b.loss < a.loss ? b : a));
    assert.equal(done.writtenStep, best.step);
    const tokens = await readVirtualTokens(join(folder, 'whole.pt'));
    assert.deepEqual([tokens.count, tokens.hiddenSize, tokens.dtype], [6, 128, 'float32']);
    assert.equal(tokens.metadata['backbone'], 'demo');
    assert.equal(tokens.metadata['steps'], String(best.step));
    assert.ok(!existsSync(statePath(join(folder, 'whole.pt'))));
  });

  it('gives the same file again, and another one with another seed', async () => {
    await train(runOf('first.safetensors'));
    await train(runOf('second.safetensors'));
    await train(runOf('seed.safetensors', { seed: 6 }));
    assert.deepEqual(await bytes('first.safetensors'), await bytes('second.safetensors'));
    assert.notDeepEqual(await bytes('first.safetensors'), await bytes('seed.safetensors'));
  });

  for (const [what, type] of [
    ['a step', 'step'],
    ['a validation', 'validation'],
    ['a saved state', 'saved'],
  ] as const) {
    it(`paused after ${what} and resumed: the same file and log`, async () => {
      await train(runOf('straight.safetensors'));
      const run = runOf(`paused-${type}.safetensors`);
      const abort = new AbortController();
      await assert.rejects(async () => {
        for await (const event of logged(trainVirtualTokens(run, abort.signal), `${run.path}.log`)) {
          if (event.type === type && event.step > 3) abort.abort();
        }
      }, CancelledError);
      assert.ok(!existsSync(run.path));
      const [start] = await train({ ...run, resume: true });
      assert.ok(start?.type === 'start' && start.resumed && start.step > 3);
      assert.deepEqual(await bytes(`paused-${type}.safetensors`), await bytes('straight.safetensors'));
      const logOf = async (name: string): Promise<string[]> =>
        (await bytes(`${name}.log`))
          .toString()
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as TrainingEvent)
          .filter((event) => event.type === 'step' || event.type === 'validation')
          .map((event) => JSON.stringify({ ...event, seconds: 0, cachedExamples: 0 }));
      assert.deepEqual(await logOf(`paused-${type}.safetensors`), await logOf('straight.safetensors'));
    });
  }

  it('killed and resumed from the command line: the same file', async () => {
    const argumentsOf = (out: string): string[] => [
      ...[
        '--data',
        join(folder, 'data.jsonl'),
        '--out',
        join(folder, out),
        '--steps',
        '12',
        '--num-tokens',
        '6',
      ],
      ...['--batch-size', '2', '--learning-rate', '0.01', '--save-every', '2', '--validation-share', '0.3'],
      ...['--validate-every', '3', '--seed', '3'],
    ];
    assert.equal(await runTrain(argumentsOf('straight-cli.safetensors')), 0);
    assert.equal(await runTrain(argumentsOf('killed-cli.safetensors'), 'step 5/12'), 'SIGKILL');
    assert.ok(existsSync(statePath(join(folder, 'killed-cli.safetensors'))));
    assert.equal(await runTrain([...argumentsOf('killed-cli.safetensors'), '--resume']), 0);
    assert.deepEqual(await bytes('killed-cli.safetensors'), await bytes('straight-cli.safetensors'));
  });

  it('refuses to go on from the state of another run', async () => {
    const run = runOf('other.pt');
    for await (const event of trainVirtualTokens(run)) if (event.type === 'saved') break;
    const changed = { ...runOf('other.pt', { learningRate: 0.02 }), resume: true };
    await assert.rejects(() => train(changed), /other settings, data or model/);
  });

  it('differentiating the tail or everything: the same losses', async () => {
    const lossesOf = async (name: string, changes: Partial<TrainingSettings>): Promise<number[]> =>
      (await train(runOf(name, { steps: 3, ...changes })))
        .filter((event) => event.type === 'step')
        .map(({ loss }) => loss);
    const tail = await lossesOf('tail.pt', {});
    const whole = await lossesOf('all.pt', { differentiate: 'all' });
    const single = await lossesOf('single.pt', { microBatchPositions: 1, passageCacheBytes: 0 });
    tail.forEach((loss, i) => {
      assert.ok(Math.abs(loss - whole[i]!) < 1e-4);
      assert.ok(Math.abs(loss - single[i]!) < 1e-4);
    });
  });

  it('keeps the passages from epoch to epoch, unless they are drawn anew', async () => {
    const cachedIn = async (name: string, passages: TrainingSettings['passages']): Promise<number[]> =>
      (await train(runOf(name, { steps: 4, batchSize: 5, passages })))
        .filter((event) => event.type === 'step')
        .map(({ cachedExamples }) => cachedExamples);
    // in the first epoch, too, examples may share their prefix
    assert.deepEqual((await cachedIn('kept.pt', 'sample')).slice(1), [5, 5, 5]);
    assert.ok((await cachedIn('drawn.pt', 'resample')).slice(1).some((count) => count < 5));
  });

  it('stops early when the validation loss no longer falls', async () => {
    const events = await train(runOf('patience.pt', { validateEvery: 1, patience: 2, learningRate: 0 }));
    const done = events.at(-1)!;
    assert.ok(done.type === 'done' && done.reason === 'early stop');
    assert.deepEqual([done.writtenStep, done.step], [1, 3]);
  });

  it('measures exact match by k', async () => {
    const asked: string[] = [];
    const scoreAnswer = (answer: string, gold: readonly string[]): number => {
      asked.push(gold[0]!);
      return answer === '' ? 0 : 0.5;
    };
    const run = { ...runOf('match.pt', { steps: 1, exactMatchK: [0, 2, 6] }), scoreAnswer };
    const validation = (await train(run)).find((event) => event.type === 'validation');
    assert.deepEqual(
      validation?.exactMatch.map(({ k }) => k),
      [0, 2, 6],
    );
    assert.deepEqual(asked.sort(), ['4000', '4000', '4000', '4017', '4017', '4017']);
  });

  it('says when training diverges', async () => {
    await assert.rejects(() => train(runOf('diverged.pt', { learningRate: 1e39 })), /has diverged/);
  });
});

/** Runs `spring train`; kills it when it has printed `killAt`. @returns exit code or signal */
function runTrain(args: readonly string[], killAt?: string): Promise<number | NodeJS.Signals> {
  const main = resolve(import.meta.dirname, '../../src/cli/main.ts');
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, 'train', ...args]);
  let printed = '';
  child.stderr.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
    if (killAt !== undefined && printed.includes(killAt)) child.kill('SIGKILL');
  });
  return new Promise((done, fail) => {
    child.once('error', fail);
    child.once('close', (code, signal) => done(code ?? signal ?? -1));
  });
}
