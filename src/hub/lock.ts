/** Lock files: at most one process of a machine, or of several with a common folder, does something at a time. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';

const heartbeatMs = 5000;
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
    const holder = await readFile(file, 'utf8').catch(() => undefined);
    if (holder !== undefined && (await isAlive(file, holder))) return undefined;
    if (holder !== undefined) await removeStale(file, holder);
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
  const [pid, host] = holder.split(' ');
  // Just created and not yet written, or another machine's (a shared home folder): only its age tells.
  if (host !== hostname()) return silentMs <= staleMs;
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

/** Between our look and the rename another process may have taken the lock over: then it gets it back. */
async function removeStale(file: string, holder: string): Promise<void> {
  const aside = `${file}.${randomUUID()}`;
  try {
    await rename(file, aside);
  } catch {
    return;
  }
  if ((await readFile(aside, 'utf8').catch(() => holder)) !== holder) {
    await link(aside, file).catch(() => undefined);
  }
  await rm(aside, { force: true });
}
