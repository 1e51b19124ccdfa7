import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';

const heartbeatMs = 5000;
/** A lock whose holder has not shown itself for so long belongs to a process that was killed. */
const staleMs = 30_000;

/**
 * Takes the lock file, so that two processes do not write the same unfinished download.
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
  if (stats === undefined || Date.now() - stats.mtimeMs > staleMs) return false;
  const [pid, host] = holder.split(' ');
  // Just created and not yet written, or another machine's (a shared home folder): only its age tells.
  if (host !== hostname() || Number(pid) === process.pid) return true;
  try {
    process.kill(Number(pid), 0);
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
