import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts';
import { weightsFingerprint } from '../../src/checkpoint/weightsFingerprint.ts';
import { readVirtualTokens } from '../../src/checkpoint/virtualTokens.ts';
import { EngineSupervisor } from '../../src/engine/supervisor.ts';
import { createRun, readStoredRun, storedRuns } from '../../src/extension/training/runFolders.ts';
import { settingsOfRun } from '../../src/extension/training/settingsOfRun.ts';
import { TrainingSession } from '../../src/extension/training/trainingSession.ts';
import type { EncodeRequest, MadeQuestions } from '../../src/protocol/engine.ts';
import { CancelledError, UserError } from '../../src/protocol/errors.ts';
import type { TrainingPanelState } from '../../src/protocol/trainingPanel.ts';
import { startChatServer, threeQuestions } from '../support/chatServer.ts';

const root = join(import.meta.dirname, '../..');

describe('the training engine', () => {
  let engine: EngineSupervisor<'training'>;
  let folder: string;
  let data: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'training-role-'));
    data = join(folder, 'data.jsonl');
    const lines = (await readFile(join(root, 'samples/questions/qa-train.jsonl'), 'utf8')).split('\n');
    await writeFile(data, lines.slice(0, 24).join('\n'));
    engine = new EngineSupervisor('training', {
      program: join(root, 'src/engine/main.ts'),
      log: () => undefined,
    });
  });
  after(async () => {
    engine.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  const newRun = (steps: number): Promise<string> =>
    createRun(
      join(folder, 'runs'),
      {
        ...{ model: 'demo', modelName: 'demo', data: 'data.jsonl', workspace: null, validationShare: 0.1 },
        settings: { ...settingsOfRun(4, { steps }, 24, 512), batchSize: 2, validateEvery: 4 },
      },
      data,
    );
  async function open(run: string): Promise<TrainingSession> {
    const stored = await readStoredRun(run);
    return new TrainingSession(stored!, {
      train: (path, signal, onProgress) => engine.request('train', { folder: path }, { signal, onProgress }),
      settle: () => engine.request('settle', {}),
      finish: (path) => engine.request('finishTraining', { folder: path }),
    });
  }
  /** Resolves when the run has come so far. */
  const reaches = (session: TrainingSession, step: number): Promise<TrainingPanelState> =>
    new Promise((resolve) => {
      session.onDidChange((state) => {
        if (state.step >= step) resolve(state);
      });
    });
  const rowsOf = async ({ state }: TrainingSession): Promise<string> =>
    (await readVirtualTokens(state.path)).sha256;

  it('counts the examples of a data file, and says what is wrong with one', async () => {
    const info = await engine.request('inspectTrainingData', { file: data });
    assert.deepEqual(info, { examples: 24, withPassages: 24 });
    const broken = join(folder, 'broken.jsonl');
    await writeFile(broken, '{"question": "a"}\n');
    await assert.rejects(engine.request('inspectTrainingData', { file: broken }), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /line 1 has no/);
      return true;
    });
  });

  it('a run that is paused, and one whose engine is killed, end as one that ran through', async () => {
    const through = await open(await newRun(8));
    await through.start();
    assert.equal(through.state.status.kind, 'done');
    assert.equal(through.state.steps.length, 8);
    assert.equal(through.state.validations.length, 2);

    const paused = await open(await newRun(8));
    const training = paused.start();
    await reaches(paused, 2);
    await paused.pause();
    await training;
    assert.equal(paused.state.status.kind, 'paused');
    const before = paused.state.step;
    assert.ok(before >= 2 && before < 8, String(before));
    assert.equal(paused.state.steps.length, before);
    const reopened = await open(paused.folder);
    assert.equal(reopened.state.status.kind, 'paused');
    assert.equal(reopened.state.step, before);
    await reopened.start();
    assert.equal(reopened.state.status.kind, 'done');
    assert.deepEqual(
      reopened.state.steps.map(({ loss }) => loss),
      through.state.steps.map(({ loss }) => loss),
    );
    assert.equal(await rowsOf(reopened), await rowsOf(through));

    const killed = await open(await newRun(8));
    const doomed = killed.start();
    await reaches(killed, 6);
    process.kill(engine.processId!, 'SIGKILL');
    await doomed;
    assert.equal(killed.state.status.kind, 'failed');
    const stored = (await storedRuns(join(folder, 'runs'))).find(({ interrupted }) => interrupted);
    assert.equal(stored?.folder, killed.folder);
    await killed.start();
    assert.equal(killed.state.status.kind, 'done');
    assert.deepEqual(
      killed.state.steps.map(({ step }) => step),
      through.state.steps.map(({ step }) => step),
    );
    assert.equal(await rowsOf(killed), await rowsOf(through));
  });

  it('a stopped run leaves its best rows and stays stopped', async () => {
    const session = await open(await newRun(5000));
    const training = session.start();
    await reaches(session, 5);
    await session.stop();
    await training;
    const { status } = session.state;
    assert.ok(status.kind === 'stopped' && status.path !== null);
    const { count, metadata } = await readVirtualTokens(status.path);
    assert.equal(count, 4);
    assert.equal(metadata['backbone'], 'demo');
    const demo = await openCheckpoint(join(root, 'media/demo'));
    assert.equal(metadata['backboneFingerprint'], await weightsFingerprint(demo));
    await session.start();
    assert.equal(session.state.status.kind, 'stopped');
    assert.deepEqual((await readStoredRun(session.folder))?.state.status, status);
  });

  it('a cancelled job leaves the engine free for the next', async () => {
    const abort = new AbortController();
    const run = await newRun(5000);
    const cancelled = engine.request('train', { folder: run }, { signal: abort.signal });
    abort.abort();
    await assert.rejects(cancelled, CancelledError);
    await engine.request('settle', {});
  });

  it('makes questions about passages, stops when cancelled, and gives up on a model that cannot', async () => {
    const passages = Array.from({ length: 6 }, (_, place) => ({ text: `Passage ${place}.`, path: 'a.md' }));
    const ask = async (content: string, signal?: AbortSignal, delayMs = 0): Promise<MadeQuestions[]> => {
      const server = await startChatServer(content, delayMs);
      const made: MadeQuestions[] = [];
      const endpoint = { url: server.url, model: `m${content.length}` };
      const prag = { storeFolder: join(folder, 'made'), endpoint };
      try {
        await engine.request(
          'makeQuestions',
          { model: 'demo', device: 'cpu', precision: 'f32', passages, prag },
          { signal, onProgress: (progress) => made.push(progress) },
        );
      } catch (error) {
        if (!(error instanceof CancelledError)) throw error;
      } finally {
        server.close();
      }
      return made;
    };
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 3000);
    const some = await ask(threeQuestions, abort.signal, 400);
    assert.ok(some.length < passages.length, String(some.length));
    const all = await ask(threeQuestions);
    assert.deepEqual(
      all.map(({ passage }) => passage),
      passages,
    );
    assert.deepEqual(all[5]?.questions[1]?.answer, 'two');
    await assert.rejects(ask('I would rather not.'), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /no usable questions about the first 4 passages/);
      return true;
    });
  });

  it('encodes a passage, keeps it, and says which have no adapter', async () => {
    const storeFolder = join(folder, 'adapters');
    const passage = 'Harbor listens on port 8811. Its logs are in /var/log/harbor.';
    const augmentedFile = join(folder, 'augmented.json');
    const pair = (question: string, answer: string): object => ({
      ...{ question, answer },
      full_answer: `It is ${answer}.`,
    });
    const augment = {
      ...{ pid: 0, passage, demo_rewrite: 'The port of Harbor is 8811; /var/log/harbor has its logs.' },
      demo_qa: [
        pair('Which port does Harbor use?', '8811'),
        pair('Where are its logs?', '/var/log/harbor'),
        pair('What listens on 8811?', 'Harbor'),
      ],
    };
    await writeFile(augmentedFile, JSON.stringify([{ question: 'q', answer: 'a', augment: [augment] }]));
    const request: EncodeRequest = {
      model: 'demo',
      device: 'cpu',
      precision: 'f32',
      unrelated: 0,
      passages: [passage, 'Nobody asked about this.'],
      prag: { storeFolder, augmentedFile },
    };
    const messages: string[] = [];
    const encode = () =>
      engine.request('encodePassages', request, { onProgress: ({ message }) => messages.push(message) });
    const first = await encode();
    assert.equal(first.encoded, 1);
    assert.equal(first.fromStore, 0);
    assert.equal(first.failed[0]?.passage, 'Nobody asked about this.');
    assert.ok(messages.includes('Encoded passage 1 of 2'), messages.join('\n'));
    assert.equal((await encode()).fromStore, 1);

    const inference = new EngineSupervisor('inference', {
      program: join(root, 'src/engine/main.ts'),
      log: () => undefined,
    });
    try {
      const missing = await inference.request('missingAdapters', { ...request, unrelated: 2 });
      assert.equal(missing.passages.length, 3);
      assert.equal(missing.passages[0], 'Nobody asked about this.');
    } finally {
      inference.dispose();
    }
  });
});
