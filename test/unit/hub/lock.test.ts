/** Lock files: one holder at a time, whatever happened to the one before. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockHolder, tryLock } from '../../../src/hub/lock.ts';

describe('a lock file', () => {
  let folder: string;
  let file: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spring-lock-'));
    file = join(folder, 'a', 'lock');
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** Leaves a lock that its holder touched so many seconds ago. */
  async function leave(text: string, seconds: number): Promise<void> {
    file = join(folder, 'lock');
    await writeFile(file, text);
    const then = new Date(Date.now() - 1000 * seconds);
    await utimes(file, then, then);
  }
  const attempts = async (count: number): Promise<(() => Promise<void>)[]> =>
    (await Promise.all(Array.from({ length: count }, () => tryLock(file)))).filter(
      (free) => free !== undefined,
    );

  it('is got by one of many, and again when it is free', async () => {
    assert.equal(await lockHolder(file), 'nobody');
    const [free, ...others] = await attempts(20);
    assert.equal(others.length, 0);
    assert.equal(await lockHolder(file), 'living');
    await free!();
    assert.equal(await lockHolder(file), 'nobody');
    assert.equal((await attempts(3)).length, 1);
    assert.deepEqual(await readdir(join(folder, 'a')), ['lock']);
  });

  it('of a process that was killed is taken over by one', async () => {
    // ids of processes are smaller
    await leave(`99999999 ${hostname()} x`, 0);
    assert.equal(await lockHolder(file), 'killed');
    assert.equal((await attempts(20)).length, 1);
    assert.deepEqual(await readdir(folder), ['lock']);
  });

  it('is never taken over twice, in a hundred races', async () => {
    for (let race = 0; race < 100; race++) {
      await leave(race % 2 === 0 ? `99999999 ${hostname()} x` : 'none of ours', 0);
      const frees = await attempts(12);
      assert.ok(frees.length <= 1, `${frees.length} hold it`);
      for (const free of frees) await free();
    }
  });

  it('is kept by a living process that is busy, until its id must be another’s', async () => {
    await leave(`${process.pid} ${hostname()} x`, 120);
    assert.equal((await attempts(1)).length, 0);
    await leave(`${process.pid} ${hostname()} x`, 3600);
    assert.equal((await attempts(1)).length, 1);
  });

  it('that is none of ours counts for nothing, an empty one for a moment', async () => {
    await leave('SQLite format 3\0 and more', 0);
    assert.equal((await attempts(1)).length, 1);
    await leave('', 0);
    assert.equal((await attempts(5)).length, 0);
    await leave('', 10);
    assert.equal((await attempts(1)).length, 1);
  });

  it('of another machine counts as long as it is touched', async () => {
    await leave('1 elsewhere x', 10);
    assert.equal((await attempts(1)).length, 0);
    await leave('1 elsewhere x', 60);
    assert.equal((await attempts(1)).length, 1);
  });
});
