/** Lock files: at most one process of a machine, or of several with a common folder, does something at a time. */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';

const heartbeatMs = 5000;
/** Between the making of a lock and the writing of its holder. */
const writingMs = 3000;
/** Another machine's process that has not shown itself for so long was killed. */
const staleMs = 30_000;
/** A living process of this machine may be busy in native code; after so long its id is another process's by now. */
const reusedIdMs = 15 * 60_000;

/**
 * Takes the lock file; its folder is made if it is not there. A lock of a process that was killed counts for nothing.
 *
 * @returns a function that frees it; undefined if a living process has it
 */
export async function tryLock(file: string): Promise<(() => Promise<void>) | undefined> {
  const mine = `${process.pid} ${hostname()} ${randomUUID()}`;
  await mkdir(dirname(file), { recursive: true });
  if (!(await create(file, mine))) {
    await removeStale(file, mine);
    if (!(await create(file, mine))) return undefined;
  }
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(file, now, now).catch(() => undefined);
  }, heartbeatMs);
  heartbeat.unref();
  return async () => {
    clearInterval(heartbeat);
    if ((await readFile(file, 'utf8').catch(() => '')) === mine) await rm(file, { force: true });
  };
}

/** Who has a lock: nobody, a process that lives, or one that was killed while it had it. */
export async function lockHolder(file: string): Promise<'nobody' | 'living' | 'killed'> {
  const holder = await readFile(file, 'utf8').catch(() => undefined);
  if (holder === undefined) return 'nobody';
  return (await isAlive(file, holder)) ? 'living' : 'killed';
}

async function create(file: string, text: string): Promise<boolean> {
  try {
    await writeFile(file, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

async function isAlive(file: string, holder: string): Promise<boolean> {
  const stats = await stat(file).catch(() => undefined);
  if (stats === undefined) return false;
  const silentMs = Date.now() - stats.mtimeMs;
  if (holder === '') return silentMs <= writingMs;
  const [, pid, host] = /^(\d+) (\S+) \S+$/.exec(holder) ?? [];
  if (host === undefined) return false; // not written by us
  if (host !== hostname()) return silentMs <= staleMs; // a common home folder: only its age tells
  return silentMs <= reusedIdMs && isRunning(Number(pid));
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/**
 * Removes the lock of a process that was killed. Only one process at a time looks and removes, or one could remove what
 * another has just taken over.
 */
async function removeStale(file: string, mine: string): Promise<void> {
  if ((await lockHolder(file)) === 'living') return;
  const guard = `${file}.takeover`;
  if (!(await create(guard, mine))) {
    const stats = await stat(guard).catch(() => undefined);
    const isLeft = stats !== undefined && Date.now() - stats.mtimeMs > staleMs;
    if (isLeft) await rm(guard, { force: true }); // by a process that was killed in here; the next attempt goes on
    return;
  }
  try {
    if ((await lockHolder(file)) === 'killed') await rm(file, { force: true });
  } finally {
    await rm(guard, { force: true });
  }
}
