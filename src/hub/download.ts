import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, throwIfCancelled, UserError } from '../protocol/errors.ts';
import { blobPath, downloadBlob, hashFile, incompletePath, sizeOf } from './blob.ts';
import { findSnapshot, repositoryFolder, shardsOfIndex } from './cache.ts';
import type { ContentKind } from './cache.ts';
import { openConnection } from './connection.ts';
import type { Connection } from './connection.ts';
import { formatBytes } from './format.ts';
import { isGgufName } from './ggufNames.ts';
import { HubError } from './hubError.ts';
import { placeBlob, writeRecord, writeRef } from './placement.ts';
import { ProgressMeter } from './progress.ts';
import { neededFiles, readRepository, weightIndexFile } from './repository.ts';
import type { RemoteRepository } from './repository.ts';
import type { DownloadEvent, DownloadResult, HubOptions, RemoteFile } from './types.ts';

/** What to get. A CatalogueEntry is one. */
export interface DownloadRequest {
  repository?: string;
  /** Branch, tag or commit; default `main`. */
  revision?: string;
  kind: ContentKind;
  /** For a token file or an embedding model: its path in the repository; of a GGUF model perhaps its quantisation. */
  file?: string;
  /** Read files that are in the cache already and check their hashes too. */
  verify?: boolean;
}

/** Left free on the disk at least. */
const reserveBytes = 100e6;
/** A list of tensors; anything larger is no index. */
const maximumIndexBytes = 256e6;

/** A download under way. */
interface Job {
  connection: Connection;
  remote: RemoteRepository;
  /** Of the repository in the cache. */
  root: string;
  snapshot: string;
  /** Bytes that came over the network. */
  receivedBytes: number;
}

/** A file and what the cache has of it: in the snapshot, as a blob alone, or unfinished. */
interface PlannedFile {
  file: RemoteFile;
  pointer: string;
  blob: string;
  state: 'placed' | 'blob' | 'absent';
  presentBytes: number;
}

/**
 * Downloads what is needed of a repository into the Hub cache: files that are there are not fetched again,
 * unfinished ones are resumed. The snapshot shows its new files only when all of them are verified, so a model is
 * complete and right, or not there. Leaving the loop, or the signal, stops at once and keeps what has come.
 * When the Hub cannot be reached and the cache has the model, that is the result (`offline`).
 *
 * @throws HubError (its `problem` says which kind), UserError if the cache cannot be written, CancelledError
 */
export async function* download(
  request: DownloadRequest,
  options: HubOptions = {},
): AsyncGenerator<DownloadEvent, void> {
  const { repository } = request;
  if (repository === undefined)
    throw new UserError('This entry lies in a folder: there is nothing to download.');
  const connection = await openConnection(options);
  let remote: RemoteRepository;
  try {
    remote = await readRepository(connection, repository, request.revision ?? 'main');
  } catch (error) {
    if (!(error instanceof HubError) || error.problem !== 'offline') throw error;
    const result = await cachedResult(connection, request, repository);
    if (result === undefined) throw error;
    yield { type: 'done', result };
    return;
  }
  const root = repositoryFolder(connection.cacheDir, repository);
  const snapshot = join(root, 'snapshots', remote.commit);
  try {
    yield* run({ connection, remote, root, snapshot, receivedBytes: 0 }, request);
  } catch (error) {
    throw explainDisk(error, connection.cacheDir);
  }
}

async function* run(job: Job, request: DownloadRequest): AsyncGenerator<DownloadEvent, void> {
  const { connection, remote, root, snapshot } = job;
  const { repository, commit } = remote;
  const files = await planFiles(job, request);
  const totalBytes = files.reduce((sum, { file }) => sum + file.size, 0);
  yield {
    type: 'plan',
    repository,
    commit,
    files: files.map(({ file }) => ({ path: file.path, size: file.size })),
    totalBytes,
    presentBytes: files.reduce((sum, { presentBytes }) => sum + presentBytes, 0),
  };
  const meter = new ProgressMeter(totalBytes);
  if (request.verify === true) yield* checkPresent(job, files, meter);
  await checkSpace(job, files);

  let doneBytes = files.reduce((sum, { file, state }) => sum + (state === 'absent' ? 0 : file.size), 0);
  for (const { file, state } of files) {
    if (state !== 'absent') continue;
    for await (const event of downloadBlob(connection, repository, commit, file)) {
      if (event.type === 'waiting') {
        yield event;
        continue;
      }
      job.receivedBytes += event.received;
      const done = doneBytes + (event.phase === 'verify' ? file.size : event.doneBytes);
      const progress = meter.count(event.phase, file.path, done, event.received);
      if (progress !== undefined) yield progress;
    }
    doneBytes += file.size;
  }

  throwIfCancelled(connection.signal);
  const unplaced = files.filter(({ state }) => state !== 'placed');
  for (const { blob, pointer } of unplaced) await placeBlob(blob, pointer, connection.disk);
  if (unplaced.length > 0) {
    // A cache that another program filled stays as it is when there was nothing to do.
    const revision = request.revision ?? 'main';
    await writeRef(root, revision, commit);
    await writeRecord(root, {
      repository,
      revision,
      commit,
      downloadedAt: new Date().toISOString(),
      files: files.map(({ file }) => file),
    });
  }
  yield {
    type: 'done',
    result: {
      repository,
      commit,
      folder: snapshot,
      path: join(snapshot, opened(request, files)),
      files: files.map(({ file }) => file.path),
      totalBytes,
      downloadedBytes: job.receivedBytes,
      offline: false,
    },
  };
}

/** The path in the snapshot of what is opened, where that is a file. */
function opened({ kind }: DownloadRequest, files: readonly PlannedFile[]): string {
  const path = files[0]?.file.path ?? '';
  return kind === 'token-file' || isGgufName(path) ? path : '';
}

/** The files needed, with what the cache has of them. The index of a model in shards is downloaded for it. */
async function planFiles(job: Job, request: DownloadRequest): Promise<PlannedFile[]> {
  const { remote, connection } = job;
  let needed = neededFiles(remote, request.kind, request.file);
  const index = needed.find(({ path }) => path === weightIndexFile);
  if (index !== undefined) {
    if (index.size > maximumIndexBytes) {
      throw new HubError(
        'unsupported',
        `${index.path} of ${remote.repository} is too large for a list of tensors.`,
      );
    }
    const planned = await lookUp(job, index);
    if (planned.state === 'absent') {
      await mkdir(join(job.root, 'blobs'), { recursive: true });
      for await (const event of downloadBlob(connection, remote.repository, remote.commit, index)) {
        if (event.type === 'bytes') job.receivedBytes += event.received;
      }
    }
    const text = await readFile(planned.state === 'placed' ? planned.pointer : planned.blob, 'utf8');
    const shards = shardsOfIndex(text);
    if (shards === undefined) {
      throw new HubError('unsupported', `${index.path} of ${remote.repository} does not list weight files.`);
    }
    needed = neededFiles(remote, request.kind, request.file, shards);
  }
  return Promise.all(needed.map((file) => lookUp(job, file)));
}

async function lookUp(job: Job, file: RemoteFile): Promise<PlannedFile> {
  const { cacheDir } = job.connection;
  const pointer = join(job.snapshot, ...file.path.split('/'));
  const blob = blobPath(cacheDir, job.remote.repository, file);
  if ((await sizeOf(pointer)) === file.size) {
    return { file, pointer, blob, state: 'placed', presentBytes: file.size };
  }
  if ((await sizeOf(blob)) === file.size) {
    return { file, pointer, blob, state: 'blob', presentBytes: file.size };
  }
  const unfinished = (await sizeOf(incompletePath(cacheDir, job.remote.repository, file))) ?? 0;
  return { file, pointer, blob, state: 'absent', presentBytes: Math.min(unfinished, file.size) };
}

/** Hashes the files that the cache has; wrong ones are deleted, to be downloaded with the others. */
async function* checkPresent(
  job: Job,
  files: readonly PlannedFile[],
  meter: ProgressMeter,
): AsyncGenerator<DownloadEvent, void> {
  let doneBytes = 0;
  for (const planned of files) {
    if (planned.state === 'absent') continue;
    const path = planned.state === 'placed' ? planned.pointer : planned.blob;
    const hashing = hashFile(path, planned.file, job.connection.signal);
    let step = await hashing.next();
    for (; step.done !== true; step = await hashing.next()) {
      if (step.value.type !== 'bytes') continue;
      const progress = meter.count('verify', planned.file.path, doneBytes + step.value.doneBytes, 0);
      if (progress !== undefined) yield progress;
    }
    doneBytes += planned.file.size;
    if (step.value === planned.file.hash.hex) continue;
    await rm(planned.pointer, { force: true });
    await rm(planned.blob, { force: true });
    planned.state = 'absent';
    planned.presentBytes = 0;
  }
}

async function checkSpace(job: Job, files: readonly PlannedFile[]): Promise<void> {
  const absent = files.filter(({ state }) => state === 'absent');
  if (absent.length === 0) return;
  const folder = join(job.root, 'blobs');
  await mkdir(folder, { recursive: true });
  const needed = absent.reduce((sum, { file, presentBytes }) => sum + file.size - presentBytes, 0);
  // Some network file systems cannot tell: then a full disk shows while writing.
  const free = await job.connection.disk.freeBytes(folder).catch(() => Infinity);
  if (free >= needed + reserveBytes) return;
  throw new HubError(
    'disk-full',
    `Not enough room in ${job.connection.cacheDir} for ${job.remote.repository}: ${formatBytes(needed)} to download and ${formatBytes(reserveBytes)} to spare, but only ${formatBytes(free)} are free. Free some room ("spring remove" deletes models), or set HF_HOME to a folder on a larger disk.`,
  );
}

/** What to use when the Hub cannot be asked: a complete snapshot, if there is one. */
async function cachedResult(
  connection: Connection,
  request: DownloadRequest,
  repository: string,
): Promise<DownloadResult | undefined> {
  const found = await findSnapshot(connection.cacheDir, repository, request.kind, request);
  if (found === undefined || found.missing.length > 0) return undefined;
  const { commit, folder, parts } = found;
  const path = join(folder, parts[0] ?? '');
  return { repository, commit, folder, path, files: [], totalBytes: 0, downloadedBytes: 0, offline: true };
}

function explainDisk(error: unknown, cacheDir: string): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR'].includes(code)) {
    return new UserError(
      `The Hub cache ${cacheDir} cannot be written (${messageOf(error)}): check its rights, or set HF_HOME to a folder of yours.`,
    );
  }
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new HubError(
      'disk-full',
      `The disk of ${cacheDir} is full: free some room and try again, it goes on.`,
    );
  }
  return error;
}
