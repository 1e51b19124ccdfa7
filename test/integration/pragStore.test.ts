/** The store of adapters when processes are killed, and when several use it at once. */
import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts';
import { readLoraAdapter } from '../../src/checkpoint/lora.ts';
import { AdapterStore } from '../../src/prag/adapterStore.ts';
import { manyPassages } from '../support/manyPassages.ts';
import { demoFolder } from '../support/oracle.ts';

const count = 8;
/** KILLS=40 runs the long version. */
const kills = Number(process.env['KILLS'] ?? 6);

interface Encoded {
  index: number;
  id: string;
  fromStore: boolean;
}

class Worker {
  readonly encoded: Encoded[] = [];
  readonly process: ChildProcess;
  readonly exited: Promise<unknown[]>;
  readonly ready: Promise<void>;

  constructor(folder: string, maximumBytes = 1e9) {
    this.process = fork(
      join(import.meta.dirname, 'pragStoreWorker.ts'),
      [folder, String(count), String(maximumBytes)],
      { execArgv: ['--disable-warning=ExperimentalWarning'] },
    );
    this.exited = once(this.process, 'exit');
    this.ready = new Promise((resolve) => {
      this.process.on('message', (message) => {
        if (message === 'ready') resolve();
        else this.encoded.push(message as Encoded);
      });
    });
  }

  /** To the end; the ids in the passages' order. */
  async ids(): Promise<string[]> {
    assert.deepEqual(await this.exited, [0, null]);
    assert.deepEqual(
      this.encoded.map(({ index }) => index),
      manyPassages(count).map((_, index) => index),
    );
    return this.encoded.map(({ id }) => id);
  }
}

describe('the store of adapters', () => {
  let root: string;
  let expected: string[];
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'store-'));
    expected = await new Worker(join(root, 'whole')).ids();
    assert.equal(new Set(expected).size, count);
  });
  after(() => rm(root, { recursive: true }));

  /** Everything that the store lists can be read. */
  const assertWhole = async (folder: string): Promise<number> => {
    const { config } = await openCheckpoint(demoFolder);
    const stored = await new AdapterStore(folder).list();
    for (const { folder: adapter, losses } of stored) {
      await readLoraAdapter(adapter, config);
      assert.equal(losses.length, 5);
    }
    return stored.length;
  };

  it('holds whole adapters alone when encoding is killed, and the next run goes on', async () => {
    const folder = join(root, 'killed');
    let interrupted = 0;
    for (let kill = 0; kill < kills; kill++) {
      const worker = new Worker(folder);
      await worker.ready;
      const signal = await killWhileWriting(worker, folder, 1 + (kill % 6));
      if (signal === 'SIGKILL') interrupted++;
      const stored = await assertWhole(folder);
      assert.ok(worker.encoded.length <= stored && stored <= count);
    }
    assert.ok(interrupted > 0);
    const before = await assertWhole(folder);
    const last = new Worker(folder);
    assert.deepEqual(await last.ids(), expected);
    assert.equal(last.encoded.filter(({ fromStore }) => fromStore).length, before);
    assert.equal(await assertWhole(folder), count);
  });

  it('may be used by several processes at once', async () => {
    const folder = join(root, 'shared');
    const workers = [1, 2].map(() => new Worker(folder));
    for (const ids of await Promise.all(workers.map((worker) => worker.ids()))) {
      assert.deepEqual(ids, expected);
    }
    assert.equal(await assertWhole(folder), count);
    assert.deepEqual(await temporaryFolders(folder), []);
  });

  it('keeps within its size, whoever writes', async () => {
    const folder = join(root, 'small');
    const { bytes } = (await new AdapterStore(join(root, 'whole')).list())[0]!;
    const maximumBytes = 3.5 * bytes;
    const workers = [1, 2].map(() => new Worker(folder, maximumBytes));
    for (const ids of await Promise.all(workers.map((worker) => worker.ids()))) {
      assert.deepEqual(ids, expected);
    }
    assert.equal(await assertWhole(folder), 3);
  });

  it('removes what a killed process left, but not what another is writing', async () => {
    const folder = join(root, 'left');
    await mkdir(join(folder, 'model', 'old.aa.tmp'), { recursive: true });
    await mkdir(join(folder, 'model', 'new.bb.tmp'));
    const yesterday = new Date(Date.now() - 86_400_000);
    await utimes(join(folder, 'model', 'old.aa.tmp'), yesterday, yesterday);
    await new Worker(folder).ids();
    assert.deepEqual(await temporaryFolders(folder), ['new.bb.tmp']);
  });
});

/** Kills a process at its n-th change of the store's files, so mostly while it writes; the signal that ended it. */
async function killWhileWriting(
  { process, exited }: Worker,
  folder: string,
  change: number,
): Promise<unknown> {
  let changes = 0;
  const watcher = watch(folder, { recursive: true }, () => {
    if (++changes === change) process.kill('SIGKILL');
  });
  try {
    return (await exited)[1];
  } finally {
    watcher.close();
  }
}

async function temporaryFolders(folder: string): Promise<string[]> {
  const models = await readdir(folder, { withFileTypes: true });
  const names = await Promise.all(
    models.filter((entry) => entry.isDirectory()).map(({ name }) => readdir(join(folder, name))),
  );
  return names.flat().filter((name) => name.endsWith('.tmp'));
}
