/** Bringing the index up to date with the files. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { throwIfCancelled } from '../../protocol/errors.ts';
import { chunkDocument, type Chunk } from '../chunks/chunkDocument.ts';
import { parseDocument, parserVersion } from '../documents/formats.ts';
import { reasonOf, type FoundFile, type FoundProblem, type WalkEntry } from '../files/walk.ts';
import type { IndexSettings } from '../settings.ts';
import type { UpdateCounts } from '../types.ts';
import type { FileRow, IndexStore } from './store.ts';

/** A transaction is committed after this many milliseconds or bytes of documents, whichever comes first. */
const batchMilliseconds = 500;
const batchBytes = 4 * 1024 * 1024;

/** Times nearer than this to the reading cannot show a later change of the file (coarse clocks of file systems). */
const racyMilliseconds = 2000;

/** A file that was looked at, waiting for its batch to be written. */
interface PendingFile {
  found?: FoundFile;
  row: FileRow;
  /** False if only its times are new. */
  changed: boolean;
  /** The content, unless it could not be read or the index has it. */
  content?: { hash: string; chunks?: Chunk[] };
}

export interface FolderUpdate {
  store: IndexStore;
  folder: string;
  settings: IndexSettings;
  /** Text of a document that is being edited and not saved, by relative path. */
  openText: (path: string) => string | undefined;
  signal?: AbortSignal | undefined;
}

/** Names what makes the chunks of a document; documents of another shape are chunked anew. */
export function shapeOf(settings: IndexSettings): string {
  return `${parserVersion}/${settings.chunkWords}`;
}

/**
 * Updates the rows of one workspace folder from the entries of a walk over it (`complete`: files that the walk did
 * not find are gone) or over some of its files. Yields after every batch. A batch is one transaction, and it holds
 * whole files, so the index is consistent whenever the process ends and the next update goes on from there.
 */
export async function* updateFolder(
  update: FolderUpdate,
  entries: AsyncIterable<WalkEntry>,
  complete: boolean,
  counts: UpdateCounts,
): AsyncGenerator<undefined> {
  const { store, folder } = update;
  const known = complete ? store.files(folder) : undefined;
  const unseen = new Set(known?.keys());
  const unreadableFolders: string[] = [];
  let batch: PendingFile[] = [];
  let bytes = 0;
  let started = Date.now();
  const flush = async () => {
    const written = batch;
    batch = [];
    bytes = 0;
    const lost = store.transaction(() => written.filter((file) => !write(update, file)));
    for (const { found } of lost) {
      const again = await read(update, found!, store.file(folder, found!.path));
      if (again) store.transaction(() => write(update, again));
    }
    started = Date.now();
  };
  for await (const entry of entries) {
    throwIfCancelled(update.signal);
    const path = 'found' in entry ? entry.found.path : entry.problem.path;
    const before = known ? known.get(path) : store.file(folder, path);
    unseen.delete(path);
    if ('problem' in entry && entry.problem.isFolder) unreadableFolders.push(path);
    counts.files++;
    const pending =
      'found' in entry ? await read(update, entry.found, before) : problemFile(entry.problem, before);
    if (!pending?.changed) counts.unchanged++;
    else if (before) counts.changed++;
    else counts.added++;
    if (pending) {
      batch.push(pending);
      bytes += pending.row.size;
    }
    if (bytes >= batchBytes || Date.now() - started >= batchMilliseconds) {
      await flush();
      yield;
    }
  }
  await flush();
  if (!complete) return;
  // What lies below a folder that cannot be listed now is not known to be gone.
  const gone = [...unseen].filter(
    (path) => !unreadableFolders.some((top) => top === '' || path.startsWith(`${top}/`)),
  );
  for (let start = 0; start < gone.length; start += 500) {
    throwIfCancelled(update.signal);
    const some = gone.slice(start, start + 500);
    store.transaction(() => some.forEach((path) => store.removeFile(folder, path)));
    counts.removed += some.length;
    yield;
  }
}

/** Reads a file if its size or times say that it may have changed; undefined if the index has it as it is. */
async function read(
  update: FolderUpdate,
  found: FoundFile,
  before: FileRow | undefined,
): Promise<PendingFile | undefined> {
  const { store, settings } = update;
  const shape = shapeOf(settings);
  const openText = update.openText(found.path);
  const current = before?.document != null ? store.document(before.document) : undefined;
  const sameTimes =
    before !== undefined &&
    openText === undefined &&
    before.size === found.size &&
    before.mtime === found.mtime &&
    before.ctime === found.ctime;
  if (sameTimes && (before.problem !== null || current?.shape === shape)) return undefined;
  // The content of an open editor is not on disk: without times, the next update reads the file.
  const racy = openText !== undefined || Date.now() - Math.max(found.mtime, found.ctime) < racyMilliseconds;
  const row: FileRow = {
    path: found.path,
    size: found.size,
    mtime: racy ? -1 : found.mtime,
    ctime: racy ? -1 : found.ctime,
    document: before?.document ?? null,
    problem: null,
  };
  try {
    const bytes =
      openText === undefined ? await readFile(found.file, { signal: update.signal }) : Buffer.from(openText);
    // The name is part of the content: it is searched with the title.
    const hash = createHash('sha256')
      .update(`${posix.basename(found.path)}\0`)
      .update(bytes)
      .digest('hex');
    const known = store.documentByHash(hash);
    if (known?.shape === shape) {
      const unchanged = before?.document === known.id && before.problem === null;
      if (unchanged && before.mtime === row.mtime && before.ctime === row.ctime) return undefined;
      return { found, row, changed: !unchanged, content: { hash } };
    }
    const document = await parseDocument(found.format, found.path, bytes);
    return { found, row, changed: true, content: { hash, chunks: chunkDocument(document, settings) } };
  } catch (error) {
    throwIfCancelled(update.signal);
    return problemRow(row, reasonOf(error), before);
  }
}

function problemFile(problem: FoundProblem, before: FileRow | undefined): PendingFile | undefined {
  const row = { path: problem.path, size: 0, mtime: -1, ctime: -1, document: null, problem: problem.reason };
  return problemRow(row, problem.reason, before);
}

function problemRow(row: FileRow, reason: string, before: FileRow | undefined): PendingFile | undefined {
  const changed = before?.problem !== reason;
  if (!changed && before.mtime === row.mtime && before.ctime === row.ctime) return undefined;
  return { changed, row: { ...row, document: null, problem: reason } };
}

/**
 * Writes one file's rows; the caller holds the transaction.
 * @returns false if the file was to share a document that a file before it in the batch has just changed: then nothing
 * is written, and the file must be read again
 */
function write({ store, folder, settings }: FolderUpdate, { row, content }: PendingFile): boolean {
  const previous = store.file(folder, row.path)?.document ?? null;
  const shape = shapeOf(settings);
  let document: number | null = null;
  if (content) {
    const same = store.documentByHash(content.hash);
    if (!content.chunks && same?.shape !== shape) return false;
    if (same) {
      document = same.id;
      if (same.shape !== shape) store.setDocument(same.id, content.hash, shape);
    } else if (previous !== null && store.usersOf(previous) === 1) {
      document = previous;
      store.setDocument(previous, content.hash, shape);
    } else {
      document = store.insertDocument(content.hash, row.path, shape);
    }
    if (content.chunks && same?.shape !== shape) store.setChunks(document, content.chunks);
  }
  store.saveFile(folder, { ...row, document });
  if (previous !== null && previous !== document) store.removeDocumentIfUnused(previous);
  return true;
}
