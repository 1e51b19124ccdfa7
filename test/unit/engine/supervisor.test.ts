import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, it } from 'mocha';
import { EngineStoppedError, type EngineState, EngineSupervisor } from '../../../src/engine/supervisor.ts';
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

  function start(restartDelaysMs?: number[], idleMs = 0): EngineSupervisor<'index'> {
    states.length = 0;
    supervisor = new EngineSupervisor('index', {
      program: join(import.meta.dirname, 'echoEngine.ts'),
      restartDelaysMs,
      stopWhenIdleMs: () => idleMs,
      log: () => undefined,
      onStateChange: (state) => states.push(state),
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

  it('a success between crashes clears the count', async () => {
    start([1, 1]);
    for (let crash = 0; crash < 4; crash++) {
      await assert.rejects(search('crash'), EngineStoppedError);
      await search('a');
    }
    assert.equal(supervisor.state, 'running');
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
