/** Writing the cache's layout around the blobs: snapshots, refs and our own record of what was downloaded. */
import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import * as v from 'valibot';
import { listOf, shortText, size } from '../protocol/schema.ts';
import { isRelativeFile } from './catalogue.ts';
import type { Disk, RemoteFile } from './types.ts';

/** Our record in a repository's folder; huggingface_hub ignores it. */
const recordName = 'spring-download.json';

/** What was downloaded: which commit, and the hashes that were verified. */
export interface DownloadRecord {
  repository: string;
  /** What was asked for: a branch, tag or commit. */
  revision: string;
  commit: string;
  /** ISO 8601 */
  downloadedAt: string;
  files: RemoteFile[];
}

/**
 * Makes `pointer` (in snapshots/) show the blob: a relative symlink as in Python's caches; where Windows does not
 * allow one a hard link, and where the file system knows neither, a copy.
 */
export async function placeBlob(blob: string, pointer: string, disk: Disk): Promise<void> {
  const target = relative(dirname(pointer), blob);
  if ((await readlink(pointer).catch(() => undefined)) === target) return;
  await mkdir(dirname(pointer), { recursive: true });
  // Under another name first: no moment in which the snapshot has half a file.
  const temporary = `${pointer}.${randomUUID()}`;
  try {
    await disk.symlink(target, temporary);
  } catch {
    await disk.link(blob, temporary).catch(() => copyFile(blob, temporary));
  }
  await rename(temporary, pointer).catch(async (error: unknown) => {
    await rm(temporary, { force: true });
    throw error;
  });
}

/** Records which commit a branch or tag stands for. */
export async function writeRef(root: string, revision: string, commit: string): Promise<void> {
  if (revision === commit || !isRelativeFile(revision)) return;
  const file = join(root, 'refs', revision);
  if ((await readFile(file, 'utf8').catch(() => '')) === commit) return;
  await mkdir(dirname(file), { recursive: true });
  await replaceFile(file, commit);
}

const recordSchema: v.GenericSchema<unknown, DownloadRecord> = v.object({
  ...{ repository: shortText, revision: shortText, commit: shortText, downloadedAt: shortText },
  files: listOf(
    v.object({
      path: shortText,
      size,
      hash: v.object({ algorithm: v.picklist(['sha256', 'git-sha1']), hex: shortText }),
    }),
    100_000,
  ),
});

/** The records of a repository's downloads, newest first; those of other programs are not among them. */
export async function readRecords(root: string): Promise<DownloadRecord[]> {
  try {
    const { downloads } = JSON.parse(await readFile(join(root, recordName), 'utf8')) as {
      downloads?: unknown;
    };
    const all: unknown[] = Array.isArray(downloads) ? downloads : [];
    return all.filter((record): record is DownloadRecord => v.is(recordSchema, record));
  } catch {
    return [];
  }
}

/** Adds a record; what was recorded of the same commit before is joined with it. */
export async function writeRecord(root: string, record: DownloadRecord): Promise<void> {
  const records = await readRecords(root);
  const earlier = records.find(({ commit }) => commit === record.commit);
  const files = new Map([...(earlier?.files ?? []), ...record.files].map((file) => [file.path, file]));
  const others = records.filter(({ commit }) => commit !== record.commit);
  await writeRecords(root, [{ ...record, files: [...files.values()] }, ...others]);
}

/** Replaces all records; without any, the file goes. */
export async function writeRecords(root: string, downloads: DownloadRecord[]): Promise<void> {
  const file = join(root, recordName);
  if (downloads.length === 0) await rm(file, { force: true });
  else await replaceFile(file, `${JSON.stringify({ downloads }, null, 2)}\n`);
}

async function replaceFile(file: string, text: string): Promise<void> {
  const temporary = `${file}.${randomUUID()}`;
  await writeFile(temporary, text);
  await rename(temporary, file);
}
