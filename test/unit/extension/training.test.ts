import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { createRun, readStoredRun, saveRun, storedRuns } from '../../../src/extension/training/runFolders.ts';
import {
  parseCount,
  parseLength,
  settingsOfRun,
  validationShareOf,
} from '../../../src/extension/training/settingsOfRun.ts';
import { TrainingSession, type TrainingServices } from '../../../src/extension/training/trainingSession.ts';
import { CancelledError } from '../../../src/protocol/errors.ts';
import type { TrainingEvent } from '../../../src/protocol/training.ts';
import type { HostToTrainingPanel } from '../../../src/protocol/trainingPanel.ts';
import { checkSettings } from '../../../src/spring/training/settings.ts';
import { receiveTraining } from '../../../webview/trainingState.ts';

const step = (number: number): TrainingEvent => ({
  ...{ type: 'step', step: number, epoch: 0, loss: 1 / number, k: 1, learningRate: 1 },
  ...{ gradientNorm: 1, cachedExamples: 0, seconds: 0.1 },
});
const start = (at: number): TrainingEvent => ({
  ...{ type: 'start', step: at, steps: 4, examples: 9, validationExamples: 0, resumed: at > 0 },
});
const done: TrainingEvent = {
  ...{ type: 'done', step: 4, writtenStep: 4, reason: 'finished', path: '/tokens' },
};

describe('the settings of a training run', () => {
  it('reads steps and epochs', () => {
    assert.deepEqual(parseLength('20'), { steps: 20 });
    assert.deepEqual(parseLength(' 200 steps '), { steps: 200 });
    assert.deepEqual(parseLength('1 epoch'), { epochs: 1 });
    assert.deepEqual(parseLength('0.5 epochs'), { epochs: 0.5 });
    for (const text of ['', '0', '-3', '2.5 steps', 'three', '3 days']) assert.equal(parseLength(text), null);
  });

  it('reads whole numbers within bounds', () => {
    assert.equal(parseCount(' 50 ', 100), 50);
    for (const text of ['', '0', '101', '1.5', 'x']) assert.equal(parseCount(text, 100), null);
  });

  it('makes settings that training accepts, from few examples and from many', () => {
    for (const examples of [1, 5, 24, 2000]) {
      for (const length of [{ steps: 20 }, { epochs: 3 }, { epochs: 0.01 }]) {
        for (const numTokens of [1, 4, 50]) {
          const settings = settingsOfRun(numTokens, length, examples, 512);
          checkSettings(settings, 512);
          assert.ok(settings.batchSize <= examples);
          if ('steps' in length) assert.equal(settings.steps, 20);
        }
      }
    }
    const { steps, batchSize } = settingsOfRun(50, { epochs: 3 }, 2000, 512);
    assert.equal(steps, Math.ceil((3 * 1800) / batchSize));
    assert.equal(validationShareOf(5), 0);
  });
});

describe('a training run of a window', () => {
  let root: string;
  let data: string;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'training-runs-'));
    data = join(root, 'data.jsonl');
    await writeFile(data, '{}\n');
  });
  after(() => rm(root, { recursive: true }));

  const newRun = (): Promise<string> =>
    createRun(
      join(root, 'runs'),
      {
        ...{ model: 'demo', modelName: 'de/mo', data: 'data.jsonl', workspace: null, validationShare: 0 },
        settings: settingsOfRun(4, { steps: 4 }, 9, 512),
      },
      data,
    );
  const log = (folder: string, events: TrainingEvent[]): Promise<void> =>
    writeFile(join(folder, 'events.jsonl'), events.map((event) => `${JSON.stringify(event)}\n`).join(''));

  it('tells from its folder how it stands', async () => {
    const folder = await newRun();
    const read = async () => (await readStoredRun(folder))!;
    const statusOf = async (): Promise<string> => (await read()).state.status.kind;
    assert.equal(await statusOf(), 'paused');
    assert.match((await read()).run.tokenFile, /de-mo-4-tokens\.safetensors$/);
    await log(folder, [start(0), step(1), step(2)]);
    assert.equal((await read()).state.step, 2);
    assert.equal((await read()).interrupted, false);
    // A process that cannot exist any more: ids are smaller.
    await writeFile(join(folder, 'running.lock'), `99999999 ${hostname()} x`);
    assert.equal((await read()).interrupted, true);
    await writeFile(join(folder, 'running.lock'), `${process.pid} ${hostname()} x`);
    assert.equal((await read()).interrupted, false);
    await log(folder, [start(0), step(1), step(2), step(3), step(4), done]);
    assert.equal(await statusOf(), 'done');
    await log(folder, [start(0), step(1)]);
    await saveRun(folder, { ...(await read()).run, stopped: { path: null } });
    assert.deepEqual((await read()).state.status, { kind: 'stopped', path: null });
    await writeFile(join(root, 'runs', 'stray'), 'no folder');
    assert.equal((await storedRuns(join(root, 'runs'))).length, 1);
    assert.deepEqual(await storedRuns(join(root, 'nothing')), []);
  });

  it('what it sends adds up to its state, through failure, pause and the end', async () => {
    const folder = await newRun();
    let train: TrainingServices['train'] = () => Promise.reject(new Error('The engine was killed.'));
    const session = new TrainingSession((await readStoredRun(folder))!, {
      train: (...parameters) => train(...parameters),
      settle: () => log(folder, [start(0), step(1), step(2), step(3)]),
      finish: () => Promise.reject(new Error('not used')),
    });
    const sent: HostToTrainingPanel[] = [];
    session.connect((message) => sent.push(structuredClone(message)));
    const shown = () => sent.reduce<ReturnType<typeof receiveTraining>>(receiveTraining, null);
    await session.start();
    assert.deepEqual(shown()?.status, { kind: 'failed', message: 'The engine was killed.' });

    train = (_, signal, report) =>
      new Promise((_resolve, reject) => {
        report([start(0), step(1), step(2)]);
        signal.addEventListener('abort', () => reject(new CancelledError()));
      });
    const running = session.start();
    assert.equal(session.busy, true);
    assert.equal(shown()?.status.kind, 'running');
    await session.pause();
    await running;
    assert.deepEqual(shown(), session.state);
    assert.equal(session.state.status.kind, 'paused');
    // The third step was done, but not reported before the pause.
    assert.equal(session.state.step, 3);

    train = (_, _signal, report) => {
      report([start(2), step(3), step(4), done]);
      return Promise.resolve();
    };
    await session.start();
    assert.deepEqual(shown(), session.state);
    assert.equal(session.state.status.kind, 'done');
    assert.deepEqual(
      session.state.steps.map((event) => event.step),
      [1, 2, 3, 4],
    );
    assert.equal(session.busy, false);
  });
});
