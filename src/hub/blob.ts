/**
 * One file of a repository into the cache's `blobs/` folder: resumed where an earlier attempt ended, and given its
 * name only after the bytes on disk have the size and the hash that the Hub's list promises.
 */
import { createHash } from 'node:crypto';
import { open, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { CancelledError, messageOf, throwIfCancelled } from '../protocol/errors.ts';
import { failureOfNetwork, get, pauseBeforeNext, sleep, TransientError } from './connection.ts';
import type { Connection } from './connection.ts';
import { repositoryFolder } from './cache.ts';
import { formatBytes } from './format.ts';
import { HubError } from './hubError.ts';
import { tryLock } from './lock.ts';
import type { RemoteFile } from './types.ts';

const lockPollMs = 500;
const hashChunkBytes = 1 << 20;

export type BlobEvent =
  /** `received`: bytes that came over the network with this event. */
  | { type: 'bytes'; phase: 'download' | 'verify'; doneBytes: number; received: number }
  | { type: 'waiting'; reason: string; seconds: number };

/** Where a file's bytes lie in the cache once they are verified. */
export function blobPath(cacheDir: string, repository: string, file: RemoteFile): string {
  return join(repositoryFolder(cacheDir, repository), 'blobs', file.hash.hex);
}

/** The lock of the process that writes an unfinished blob; huggingface_hub keeps its own locks there too. */
export function downloadLock(cacheDir: string, repository: string, hash: string): string {
  return join(cacheDir, '.locks', `${repository.replace('/', '--')}--${hash}.spring-lock`);
}

/** Where they lie before. */
export function incompletePath(cacheDir: string, repository: string, file: RemoteFile): string {
  return `${blobPath(cacheDir, repository, file)}.incomplete`;
}

/**
 * Downloads one file to its blob. The blobs folder must exist.
 *
 * @throws HubError (what has come is kept unless it is wrong), CancelledError
 */
export async function* downloadBlob(
  connection: Connection,
  repository: string,
  commit: string,
  file: RemoteFile,
): AsyncGenerator<BlobEvent> {
  const blob = blobPath(connection.cacheDir, repository, file);
  const incomplete = `${blob}.incomplete`;
  const lock = downloadLock(connection.cacheDir, repository, file.hash.hex);
  let unlock = await tryLock(lock);
  while (unlock === undefined) {
    const reason = `another process is downloading ${file.path}`;
    yield { type: 'waiting', reason, seconds: lockPollMs / 1000 };
    await sleep(lockPollMs, connection.signal);
    unlock = await tryLock(lock);
  }
  try {
    // Meanwhile another process may have done it.
    if ((await sizeOf(blob)) === file.size) return;
    let resumed = ((await sizeOf(incomplete)) ?? 0) > 0;
    for (let round = 1; ; round++) {
      const connections = yield* receive(connection, repository, commit, file, incomplete);
      resumed ||= connections > 1;
      if ((yield* hashFile(incomplete, file, connection.signal)) === file.hash.hex) break;
      await rm(incomplete, { force: true });
      // Bytes that an earlier attempt (or another program) left may be to blame: once more from the start.
      if (resumed && round === 1) {
        resumed = false;
        yield { type: 'waiting', reason: `${file.path} is damaged, from the start again`, seconds: 0 };
        continue;
      }
      throw new HubError(
        'wrong-content',
        `${file.path} of ${repository} arrived with wrong content (its ${file.hash.algorithm} is not ${file.hash.hex}): it was deleted. Try again; if it happens again, a proxy or mirror between here and ${connection.endpoint} changes the file.`,
      );
    }
    await rename(incomplete, blob);
  } finally {
    await unlock();
  }
}

/**
 * The hash of a file's bytes as they lie on the disk, in the algorithm that the Hub's list uses for it. A file of
 * another size has the hash ''.
 */
export async function* hashFile(
  path: string,
  file: RemoteFile,
  signal: AbortSignal | undefined,
): AsyncGenerator<BlobEvent, string> {
  const hash = createHash(file.hash.algorithm === 'sha256' ? 'sha256' : 'sha1');
  if (file.hash.algorithm === 'git-sha1') hash.update(`blob ${file.size}\0`);
  const handle = await open(path, 'r');
  try {
    if ((await handle.stat()).size !== file.size) return '';
    const buffer = Buffer.allocUnsafe(hashChunkBytes);
    for (let done = 0; done < file.size;) {
      throwIfCancelled(signal);
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, done);
      if (bytesRead === 0) return '';
      hash.update(buffer.subarray(0, bytesRead));
      done += bytesRead;
      yield { type: 'bytes', phase: 'verify', doneBytes: done, received: 0 };
    }
    return hash.digest('hex');
  } finally {
    await handle.close();
  }
}

/** The size of a file; undefined if there is none. */
export async function sizeOf(path: string): Promise<number | undefined> {
  const stats = await stat(path).catch(() => undefined);
  return stats?.isFile() ? stats.size : undefined;
}

/** Fills the unfinished file to its size; yields progress, returns how many connections it took. */
async function* receive(
  connection: Connection,
  repository: string,
  commit: string,
  file: RemoteFile,
  incomplete: string,
): AsyncGenerator<BlobEvent, number> {
  const handle = await openIncomplete(incomplete, file);
  let connections = 0;
  try {
    let offset = (await handle.stat()).size;
    if (offset > file.size) {
      await handle.truncate(0);
      offset = 0;
    }
    let furthest = offset;
    for (let attempt = 1; offset < file.size;) {
      try {
        connections++;
        for await (const done of receiveOnce(connection, repository, commit, file, handle, offset)) {
          yield { type: 'bytes', phase: 'download', doneBytes: done, received: Math.max(0, done - offset) };
          offset = done;
        }
        if (offset < file.size) throw cut(file, repository);
      } catch (error) {
        // A connection that brought something new does not count as a failed attempt.
        if (offset > furthest) attempt = 1;
        furthest = Math.max(furthest, offset);
        const pause = pauseBeforeNext(connection, error, attempt);
        attempt++;
        yield { type: 'waiting', reason: messageOf(error), seconds: pause / 1000 };
        await sleep(pause, connection.signal);
      }
    }
    // Before the rename: after a power cut the name must not stand for bytes that never reached the disk.
    await handle.sync();
  } finally {
    await handle.close();
  }
  return connections;
}

/** One connection, from `offset` on; yields how many bytes of the file are there. */
async function* receiveOnce(
  connection: Connection,
  repository: string,
  commit: string,
  file: RemoteFile,
  handle: FileHandle,
  offset: number,
): AsyncGenerator<number> {
  const stall = new AbortController();
  const signals = connection.signal === undefined ? [stall.signal] : [stall.signal, connection.signal];
  const timer = setTimeout(() => {
    stall.abort();
  }, connection.retry.stallMs);
  let body: ReadableStreamDefaultReader<Uint8Array> | undefined;
  try {
    const path = file.path.split('/').map(encodeURIComponent).join('/');
    const response = await get(
      connection,
      repository,
      `${connection.endpoint}/${repository}/resolve/${commit}/${path}`,
      offset > 0 ? { Range: `bytes=${offset}-` } : {},
      AbortSignal.any(signals),
    );
    body = response.body?.getReader();
    let position = startOf(response, file, offset, repository);
    if (position < offset) await handle.truncate(position);
    if (position !== offset) yield position;
    for (;;) {
      const { done, value } = await readChunk(connection, body);
      if (done) return;
      timer.refresh();
      if (position + value.length > file.size) {
        await handle.truncate(0);
        throw new HubError(
          'wrong-content',
          `${file.path} of ${repository} is longer than the Hub's list says: try again.`,
        );
      }
      await write(connection, file, handle, value, position);
      position += value.length;
      yield position;
    }
  } finally {
    clearTimeout(timer);
    await body?.cancel().catch(() => undefined);
  }
}

async function readChunk(
  connection: Connection,
  body: ReadableStreamDefaultReader<Uint8Array> | undefined,
): Promise<{ done: true; value?: undefined } | { done: false; value: Uint8Array }> {
  if (body === undefined) return { done: true };
  try {
    const { done, value } = await body.read();
    return done ? { done } : { done, value };
  } catch (error) {
    throw failureOfNetwork(connection, error);
  }
}

/** The position in the file of the first byte that this answer brings. */
function startOf(response: Response, file: RemoteFile, offset: number, repository: string): number {
  if (response.status !== 206) return 0;
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('Content-Range') ?? '');
  const [start, total] = [Number(range?.[1]), range?.[2]];
  if (range === null || start !== offset || (total !== '*' && Number(total) !== file.size)) {
    const what = `an answer for the wrong part of ${file.path}`;
    throw new TransientError(
      what,
      new HubError('server', `The Hub sends ${what} of ${repository}: try again later.`),
    );
  }
  return start;
}

async function write(
  connection: Connection,
  file: RemoteFile,
  handle: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  try {
    await connection.disk.write(handle, bytes, position);
  } catch (error) {
    throw diskError(error, file, position);
  }
}

/** What a failed write means: a full disk is the user's to mend, and what has come stays. */
export function diskError(error: unknown, file: RemoteFile, position: number): Error {
  if (error instanceof CancelledError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code !== 'ENOSPC' && code !== 'EDQUOT')
    return error instanceof Error ? error : new Error(String(error));
  return new HubError(
    'disk-full',
    `The disk is full: ${file.path} stopped at ${formatBytes(position)} of ${formatBytes(file.size)}. Free ${formatBytes(file.size - position)} and try again: it goes on from there.`,
  );
}

async function openIncomplete(path: string, file: RemoteFile): Promise<FileHandle> {
  try {
    return await open(path, 'r+').catch(() => open(path, 'w+'));
  } catch (error) {
    throw diskError(error, file, 0);
  }
}

function cut(file: RemoteFile, repository: string): TransientError {
  return new TransientError(
    'the connection was cut',
    new HubError(
      'server',
      `The connection broke again and again while ${file.path} of ${repository} came: try again later, it goes on from there.`,
    ),
  );
}
