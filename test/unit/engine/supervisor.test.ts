import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, it } from 'mocha';
import {
  EngineStoppedError,
  type EngineState,
  EngineSupervisor,
  type SupervisorOptions,
} from '../../../src/engine/supervisor.ts';
import { CancelledError, UserError } from '../../../src/protocol/errors.ts';

describe('the engine program', () => {
  it('refuses a role that is none', () => {
    const main = join(import.meta.dirname, '../../../src/engine/main.ts');
    for (const role of ['inferenz', 'toString', '']) {
      const { status, stderr } = spawnSync(process.execPath, [main, role], { encoding: 'utf8' });
      assert.equal(status, 2);
      assert.ok(stderr.includes(`"${role}" is no engine role: expected inference, index, training.`));
    }
  });
});

describe('the supervisor of an engine process', () => {
  let supervisor: EngineSupervisor<'index'>;
  const states: EngineState[] = [];

  function start(
    restartDelaysMs?: number[],
    idleMs = 0,
    more: Partial<SupervisorOptions> = {},
  ): EngineSupervisor<'index'> {
    states.length = 0;
    supervisor = new EngineSupervisor('index', {
      program: join(import.meta.dirname, 'echoEngine.ts'),
      restartDelaysMs,
      stopWhenIdleMs: () => idleMs,
      log: () => undefined,
      onStateChange: (state) => states.push(state),
      ...more,
    });
    return supervisor;
  }
  const search = async (query: string, signal?: AbortSignal): Promise<string> =>
    (await supervisor.request('search', { query, count: 1 }, { signal }))[0]!.text;

  afterEach(() => supervisor.dispose());

  it('starts the process with the first request and keeps it', async () => {
    start();
    assert.equal(supervisor.processId, undefined);
    const first = await supervisor.request('search', { query: 'a', count: 1 });
    const second = await supervisor.request('search', { query: 'b', count: 1 });
    assert.equal(first[0]!.path, second[0]!.path);
    assert.equal(first[0]!.path, String(supervisor.processId));
  });

  it('lets the editor go first', async () => {
    start();
    await search('a');
    // Windows knows classes of priority, and this one is still its normal one.
    const behind = process.platform === 'win32' ? 0 : 5;
    assert.equal(getPriority(supervisor.processId), Math.max(getPriority(), behind));
  });

  it('delivers progress in order, before the reply', async () => {
    start();
    const seen: (string | undefined)[] = [];
    await supervisor.request(
      'updateFiles',
      { paths: ['a', 'b', 'c'], openTexts: [] },
      { onProgress: (progress) => seen.push(progress.currentFile) },
    );
    assert.deepEqual(seen, ['a', 'b', 'c']);
  });

  it('ends the process after its idle time, not before, and starts another one for the next request', async () => {
    start(undefined, 300);
    const first = await supervisor.request('search', { query: 'a', count: 1 });
    const cancelled = new AbortController();
    const long = search('hang', cancelled.signal);
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.equal(String(supervisor.processId), first[0]!.path, 'a request is not idleness');
    cancelled.abort();
    await assert.rejects(long, CancelledError);
    while (supervisor.processId !== undefined) await new Promise((resolve) => setTimeout(resolve, 20));
    const second = await supervisor.request('search', { query: 'b', count: 1 });
    assert.notEqual(second[0]!.path, first[0]!.path);
    assert.deepEqual(states, ['running', 'stopped', 'running']);
  });

  it('keeps the kind of an error', async () => {
    start();
    await assert.rejects(search('user error'), (error) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.message, 'There is no such thing.');
      return true;
    });
    await assert.rejects(search('bug'), (error) => {
      assert.ok(error instanceof Error && !(error instanceof UserError));
      assert.equal(error.message, 'x is not a function');
      return true;
    });
  });

  it('cancels at once here and tells the process', async () => {
    start();
    const abort = new AbortController();
    const hanging = search('hang', abort.signal);
    await search('a');
    abort.abort();
    await assert.rejects(hanging, CancelledError);
    assert.equal(await search('what happened'), 'hang was cancelled');
  });

  it('rejects what is pending when the process is killed, starts again and initialises anew', async () => {
    start([1, 1]);
    supervisor.initialise = async (request) => {
      await request('openIndex', {
        indexFile: `opened by ${String(supervisor.processId)}`,
        folders: [],
        options: {},
      });
    };
    assert.match(await search('a'), /^opened by/);
    const before = supervisor.processId!;
    const pending = [search('hang'), search('hang')];
    await new Promise((resolve) => setTimeout(resolve, 50));
    process.kill(before, 'SIGKILL');
    for (const request of pending) {
      await assert.rejects(request, (error) => {
        assert.ok(error instanceof EngineStoppedError);
        assert.match(error.message, /SIGKILL.*restarted/);
        return true;
      });
    }
    assert.equal(supervisor.state, 'restarting');
    assert.equal(await search('a'), `opened by ${String(supervisor.processId)}`);
    assert.notEqual(supervisor.processId, before);
  });

  it('rejects on a voluntary exit with code 0 or not', async () => {
    start([1, 1]);
    await assert.rejects(search('crash'), /exit code 3/);
  });

  it('stays down after three crashes in a row, until it is restarted', async () => {
    start([1, 1]);
    for (let crash = 0; crash < 3; crash++) await assert.rejects(search('crash'), EngineStoppedError);
    assert.equal(supervisor.state, 'down');
    await assert.rejects(search('a'), /crashed 3 times in a row and stays down/);
    assert.deepEqual(states, ['running', 'restarting', 'running', 'restarting', 'running', 'down']);
    supervisor.restart();
    assert.equal(await search('a'), 'nothing');
  });

  it('a quiet time between crashes clears the count, an answer does not', async () => {
    start([1, 1], 0, { settledMs: 400 });
    for (let crash = 0; crash < 4; crash++) {
      await assert.rejects(search('crash'), EngineStoppedError);
      await search('a');
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    assert.equal(supervisor.state, 'running');
    supervisor.dispose();
    start([1, 1]);
    for (let crash = 0; crash < 2; crash++) {
      await assert.rejects(search('crash'), EngineStoppedError);
      await search('a');
    }
    await assert.rejects(search('crash'), /stays down/);
  });

  it('ends a process that is stuck when its request is cancelled, and answers again', async () => {
    start([1, 1], 0, { reactionMs: 300 });
    await search('a');
    const abort = new AbortController();
    const stuck = search('stick', abort.signal);
    const waiting = search('a');
    const before = supervisor.processId;
    await new Promise((resolve) => setTimeout(resolve, 50));
    abort.abort();
    await assert.rejects(stuck, CancelledError);
    await assert.rejects(waiting, /did not react for 0\.3 seconds after a request was cancelled/);
    assert.equal(await search('a'), 'nothing');
    assert.notEqual(supervisor.processId, before);
  });

  it('leaves a process alone that takes messages while it finishes what was cancelled', async () => {
    start([1, 1], 0, { reactionMs: 300 });
    const abort = new AbortController();
    const hanging = search('hang', abort.signal);
    await search('a');
    const before = supervisor.processId;
    abort.abort();
    await assert.rejects(hanging, CancelledError);
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.equal(supervisor.processId, before);
  });

  describe('with files that end the process', () => {
    let folder: string;
    let paths: string[];
    before(() => {
      folder = mkdtempSync(join(tmpdir(), 'spring-open-files-'));
      mkdirSync(join(folder, 'notes'));
      paths = ['good', 'crash', 'fine', 'crash'].map((content, index) => {
        const path = join(folder, `${String(index)}.pt`);
        writeFileSync(path, content);
        return path;
      });
    });
    after(() => rmSync(folder, { recursive: true }));

    const look = async (): Promise<[name: string, problem: string | undefined][]> => {
      for (;;) {
        try {
          const found = await supervisor.request('inspectTokenFiles', { paths });
          return found.map(({ name, problem }) => [name, problem]);
        } catch (error) {
          assert.ok(error instanceof EngineStoppedError);
          assert.match(error.message, /exit code 4 while it opened .*[13]\.pt; it is being restarted/);
          ended++;
        }
      }
    };
    let ended = 0;

    it('opens each twice at most, and all others', async () => {
      const notesFolder = join(folder, 'notes');
      start([1, 1], 0, { notesFolder, programArguments: [notesFolder] });
      ended = 0;
      const found = await look();
      assert.equal(ended, 4);
      assert.deepEqual(
        found.map(([name]) => name),
        ['good', '', 'fine', ''],
      );
      assert.match(found[1]![1]!, /1\.pt ended the engine 2 times.*Replace the file.*Restart Engine/);
      assert.equal(supervisor.state, 'running');
      // Also a process that is started later knows.
      await assert.rejects(search('crash'), EngineStoppedError);
      await look();
      assert.equal(ended, 4);
      assert.equal(readdirSync(notesFolder).length, 2, 'what could be opened leaves no note');
    });

    it('opens them again when they have changed, or when the user restarts the engine', async () => {
      const notesFolder = join(folder, 'notes');
      start([1, 1], 0, { notesFolder, programArguments: [notesFolder] });
      writeFileSync(paths[1]!, 'repaired');
      ended = 0;
      assert.deepEqual((await look())[1], ['repaired', undefined]);
      assert.equal(ended, 0);
      supervisor.restart();
      await look();
      assert.equal(ended, 2);
    });
  });

  it('says so when the program does not exist', async () => {
    supervisor = new EngineSupervisor('index', {
      program: join(import.meta.dirname, 'missing.ts'),
      restartDelaysMs: [],
      log: () => undefined,
    });
    await assert.rejects(search('a'), /ended with exit code 1.*stays down/);
  });
});
