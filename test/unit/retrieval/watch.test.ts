import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { ChangeQueue } from '../../../src/retrieval/watch/changeQueue.ts';
import { watchWorkspace } from '../../../src/retrieval/watch/watchWorkspace.ts';
import { placesOf, TestWorkspace } from './workspace.ts';

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    if (await isSo()) return;
    await delay(25);
  }
  assert.fail(`waited in vain for ${what}`);
}

describe('a queue of changes', () => {
  /** Updates end when `release` is called, at once unless `held`. */
  function queueOf(options: { many?: number; held?: boolean } = {}): {
    queue: ChangeQueue;
    calls: (number | undefined)[];
    release: () => void;
  } {
    const calls: (number | undefined)[] = [];
    const gate = Promise.withResolvers<undefined>();
    if (!options.held) gate.resolve(undefined);
    let running = 0;
    const update = async (files: readonly string[] | undefined) => {
      assert.equal(++running, 1, 'one update at a time');
      calls.push(files?.length);
      await gate.promise;
      running--;
    };
    const queue = new ChangeQueue({ quiet: 10, atMost: 100, many: options.many ?? 100, update });
    return { queue, calls, release: () => gate.resolve(undefined) };
  }

  it('takes changes that come together for one update', async () => {
    const { queue, calls } = queueOf();
    for (const file of ['a', 'b', 'a', 'c']) queue.add(file);
    await until('an update', () => calls.length > 0);
    await queue.close();
    assert.deepEqual(calls, [3]);
  });

  it('looks at everything after very many changes', async () => {
    const { queue, calls } = queueOf({ many: 50 });
    for (let i = 0; i < 5000; i++) queue.add(`${i}`);
    await until('an update', () => calls.length > 0);
    await queue.close();
    assert.deepEqual(calls, [undefined]);
  });

  it('keeps what changes during an update for the next', async () => {
    const { queue, calls, release } = queueOf({ held: true });
    queue.add('a');
    await until('an update', () => calls.length === 1);
    queue.add('b');
    queue.add('c');
    await delay(30);
    assert.equal(calls.length, 1);
    release();
    await until('the next update', () => calls.length === 2);
    await queue.close();
    assert.deepEqual(calls, [1, 2]);
  });

  it('does not wait for ever while changes go on', async () => {
    const { queue, calls } = queueOf({ many: 1e6 });
    let n = 0;
    await until('an update', () => {
      for (let i = 0; i < 5; i++) queue.add(`${n++}`);
      return calls.length > 0;
    });
    await queue.close();
  });
});

describe('watching a folder', () => {
  it('follows files that come, change and go, and a storm with few updates', async () => {
    using workspace = new TestWorkspace({ '.gitignore': 'ignored/', 'a.md': 'apple' });
    using index = workspace.open();
    await workspace.update(index);
    const controller = new AbortController();
    let updates = 0;
    let ready = false;
    const errors: string[] = [];
    const watching = watchWorkspace(index, [workspace.folder], {
      signal: controller.signal,
      onReady: () => (ready = true),
      onProgress: ({ phase }) => (updates += phase === 'done' ? 1 : 0),
      onError: (message) => errors.push(message),
      ...{ quiet: 50, atMost: 2000, many: 100 },
    });
    await until('the watcher', () => ready);
    workspace.write('b.md', 'berry');
    workspace.write('ignored/c.md', 'cherry');
    await until('a new file', async () => (await placesOf(index, 'berry')).length === 1);
    workspace.write('a.md', 'apricot');
    await until('a change', async () => (await placesOf(index, 'apricot')).length === 1);
    workspace.remove('b.md');
    await until('a removal', async () => (await placesOf(index, 'berry')).length === 0);
    const before = updates;
    for (let i = 0; i < 600; i++) workspace.write(`branch/${i % 10}/f${i}.md`, `storm number${i}`);
    await until('the storm', async () => (await placesOf(index, 'number599')).length === 1);
    await until('all of it', () => index.status().chunks === 601);
    controller.abort();
    await watching;
    assert.ok(updates - before < 30, `${updates - before} updates for 600 files`);
    assert.deepEqual(await placesOf(index, 'cherry'), []);
    assert.deepEqual(errors, []);
  });
});
