/** Bringing the index up to date with the files. */
import { createReadStream } from 'node:fs';
import { throwIfCancelled } from '../../protocol/errors.ts';
import type { Chunk } from '../chunks/chunkDocument.ts';
import { parserVersion } from '../documents/formats.ts';
import { DocumentProblem } from '../documents/problem.ts';
import { problemOf, type DocumentFailure } from '../files/reasons.ts';
import type { FoundFile, FoundProblem, WalkEntry } from '../files/walk.ts';
import type { DocumentReader } from '../reading/documentReader.ts';
import { hashOf } from '../reading/readDocument.ts';
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
  reader: DocumentReader;
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
    const lost: PendingFile[] = [];
    await store.transactionInSteps(writeAll(update, written, lost));
    for (const { found } of lost) {
      const again = await read(update, found!, store.file(folder, found!.path));
      if (again) await store.transactionInSteps(writeAll(update, [again], []));
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
    await store.transactionInSteps(removeAll(store, folder, some));
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
  const isKnown = current ? current.shape === shape : before?.problem !== null;
  if (sameTimes && isKnown) return undefined;
  // The content of an open editor is not on disk: without times, the next update reads the file.
  const racy = openText !== undefined || Date.now() - Math.max(found.mtime, found.ctime) < racyMilliseconds;
  const row: FileRow = {
    path: found.path,
    size: found.size,
    mtime: racy ? -1 : found.mtime,
    ctime: racy ? -1 : found.ctime,
    document: before?.document ?? null,
    problem: null,
    problemKind: null,
  };
  try {
    const hash = await hashOfContent(found, openText, update.signal);
    const known = store.documentByHash(hash);
    if (known?.shape === shape) {
      // What could not be read of a content is the same for every file that has it.
      const twin = before?.document === known.id ? before : store.fileOfDocument(known.id);
      const problem = { problem: twin?.problem ?? null, problemKind: twin?.problemKind ?? null };
      const unchanged = before?.document === known.id && before.problem === problem.problem;
      if (unchanged && before.mtime === row.mtime && before.ctime === row.ctime) return undefined;
      return { found, row: { ...row, ...problem }, changed: !unchanged, content: { hash } };
    }
    const source = openText === undefined ? { file: found.file } : { text: openText };
    const { format, path } = found;
    const document = await update.reader.read(
      { format, path, source, chunkWords: settings.chunkWords },
      update.signal,
    );
    const { problem, ...content } = document;
    return { found, row: { ...row, ...columnsOf(problem) }, changed: true, content };
  } catch (error) {
    throwIfCancelled(update.signal);
    if (!isOfThisFile(error)) throw error;
    return problemRow(row, problemOf(error), before);
  }
}

/** As the reader makes it, in small steps: a large file does not keep searches waiting. */
async function hashOfContent(
  found: FoundFile,
  openText: string | undefined,
  signal: AbortSignal | undefined,
): Promise<string> {
  const hash = hashOf(found.path);
  if (openText !== undefined) return hash.update(openText).digest('hex');
  for await (const bytes of createReadStream(found.file, { signal })) hash.update(bytes as Buffer);
  return hash.digest('hex');
}

/** Whether an error says something of the document, as against the program that reads documents. */
function isOfThisFile(error: unknown): boolean {
  if (error instanceof DocumentProblem) return true;
  return error instanceof Error && 'code' in error && /^E[A-Z]+$/.test(String(error.code));
}

function columnsOf(problem: DocumentFailure | undefined): Pick<FileRow, 'problem' | 'problemKind'> {
  return { problem: problem?.reason ?? null, problemKind: problem?.kind ?? null };
}

function problemFile(problem: FoundProblem, before: FileRow | undefined): PendingFile | undefined {
  const row = { path: problem.path, size: 0, mtime: -1, ctime: -1, document: null };
  return problemRow({ ...row, ...columnsOf(problem) }, problem, before);
}

function problemRow(
  row: FileRow,
  problem: DocumentFailure,
  before: FileRow | undefined,
): PendingFile | undefined {
  const changed = before?.problem !== problem.reason || before.document !== null;
  if (!changed && before.mtime === row.mtime && before.ctime === row.ctime) return undefined;
  return { changed, row: { ...row, document: null, ...columnsOf(problem) } };
}

/** @param lost receives the files that must be read again: see `write` */
function* writeAll(
  update: FolderUpdate,
  files: readonly PendingFile[],
  lost: PendingFile[],
): Generator<undefined> {
  for (const file of files) {
    if (!(yield* write(update, file))) lost.push(file);
    yield;
  }
}

export function* removeAll(store: IndexStore, folder: string, paths: Iterable<string>): Generator<undefined> {
  for (const path of paths) {
    yield* store.removeFile(folder, path);
    yield;
  }
}

/**
 * Writes one file's rows; the caller holds the transaction.
 * @returns false if the file was to share a document that a file before it in the batch has just changed: then nothing
 * is written, and the file must be read again
 */
function* write(
  { store, folder, settings }: FolderUpdate,
  { row, content }: PendingFile,
): Generator<undefined, boolean> {
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
    if (content.chunks && same?.shape !== shape) yield* store.setChunks(document, content.chunks);
  }
  store.saveFile(folder, { ...row, document });
  if (previous !== null && previous !== document) yield* store.removeDocumentIfUnused(previous);
  return true;
}
