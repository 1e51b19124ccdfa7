import { lstat, readdir, readlink, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { UserError } from '../protocol/errors.ts';
import { downloadLock } from './blob.ts';
import { commitOf, commitsByAge, isFolder, repositoryFolder } from './cache.ts';
import { ggufChoices, isGgufName, matchingGgufs } from './ggufNames.ts';
import { tryLock } from './lock.ts';
import { readRecords, writeRecords } from './placement.ts';

/** What to remove: a NamedRequest is one. */
export interface RemovalRequest {
  repository: string;
  /** One commit (branch, tag) alone; absent: all of them. */
  revision?: string;
  /** One file alone: a token file, or a model in a GGUF file (its path or quantisation); absent: all. */
  file?: string;
  kind: string;
}

/** What a removal will do. Nothing has been done yet. */
export interface RemovalPlan {
  repository: string;
  /** The repository's folder in the cache. */
  root: string;
  commits: string[];
  /** Names in snapshots/ that go, absolute. */
  pointers: string[];
  /** Blobs that no other snapshot uses, absolute, unfinished ones among them. */
  blobs: string[];
  freedBytes: number;
  /** Nothing else of the repository is left: its folder goes as a whole. */
  everything: boolean;
}

/**
 * What removing a model, one of its commits, or one file would free. Blobs that another snapshot uses stay. An entry
 * is looked for by the names that other programs' downloads have too: this deletes from the shared Hub cache.
 *
 * @throws UserError if the cache has nothing of it
 */
export async function planRemoval(request: RemovalRequest, cacheDir: string): Promise<RemovalPlan> {
  const { repository } = request;
  const root = repositoryFolder(cacheDir, repository);
  const all = await commitsByAge(root);
  const named = request.revision === undefined ? undefined : await commitOf(root, request.revision);
  const commits = request.revision === undefined ? all : all.filter((commit) => commit === named);
  const file = request.kind === 'embedding' ? undefined : request.file;

  const pointers: string[] = [];
  const kept: string[] = [];
  for (const commit of all) {
    const folder = join(root, 'snapshots', commit);
    const paths = await filesBelow(folder);
    const going = file === undefined ? paths : pathsOf(file, folder, paths);
    for (const path of paths) {
      (commits.includes(commit) && going.includes(path) ? pointers : kept).push(path);
    }
  }
  const everything = kept.length === 0 && (file === undefined || pointers.length > 0);
  const recorded = await recordedBlobs(root);
  const blobOf = async (path: string): Promise<string | undefined> => {
    const target = await readlink(path).catch(() => undefined);
    return target === undefined ? recorded.get(path) : resolve(dirname(path), target);
  };
  const stillUsed = new Set(await Promise.all(kept.map(blobOf)));
  const targets = new Set(await Promise.all(pointers.map(blobOf)));
  const present = await filesBelow(join(root, 'blobs'));
  const blobs = everything ? present : present.filter((path) => targets.has(path) && !stillUsed.has(path));
  if (pointers.length === 0 && blobs.length === 0) {
    const what = file === undefined ? repository : `${file} of ${repository}`;
    const which = request.revision === undefined ? '' : ` at ${request.revision}`;
    throw new UserError(`${what}${which} is not on this machine (looked in ${cacheDir}): nothing to remove.`);
  }
  const freedBytes = await bytesOf([...blobs, ...pointers]);
  return { repository, root, commits, pointers, blobs, freedBytes, everything };
}

/**
 * Carries a removal out. Snapshots go first: if it is broken off, what is left is unused bytes, never half a model.
 *
 * @throws UserError if a file of it is being downloaded
 */
export async function remove(plan: RemovalPlan, cacheDir: string): Promise<void> {
  const { root, pointers, blobs } = plan;
  const unlocks: (() => Promise<void>)[] = [];
  try {
    for (const blob of blobs.filter((path) => path.endsWith('.incomplete'))) {
      const unlock = await tryLock(downloadLock(cacheDir, plan.repository, basename(blob, '.incomplete')));
      if (unlock === undefined) {
        throw new UserError(`${plan.repository} is being downloaded by another process: stop that first.`);
      }
      unlocks.push(unlock);
    }
    for (const path of pointers) {
      await rm(path, { force: true });
      await removeEmptyFolders(dirname(path), join(root, 'snapshots'));
    }
    const gone = new Set<string>();
    for (const commit of plan.commits) {
      if (!(await isFolder(join(root, 'snapshots', commit)))) gone.add(commit);
    }
    await forget(root, gone, pointers);
    for (const blob of blobs) await rm(blob, { force: true });
    if (plan.everything) await rm(root, { recursive: true, force: true });
  } finally {
    for (const unlock of unlocks) await unlock();
  }
}

/** The files in a snapshot that one of its files is: of a GGUF file all parts. */
function pathsOf(file: string, folder: string, paths: readonly string[]): string[] {
  const named = join(folder, ...file.split('/'));
  if (paths.includes(named) && !isGgufName(file)) return [named];
  const files = paths.map((path) => ({ path: relative(folder, path).replaceAll(sep, '/'), absolute: path }));
  const choices = matchingGgufs(ggufChoices(files), file);
  return choices.flatMap((choice) => choice.files.map(({ absolute }) => absolute));
}

/** Drops refs and records of commits that are gone, and the removed files from the other records. */
async function forget(root: string, gone: ReadonlySet<string>, pointers: readonly string[]): Promise<void> {
  for (const path of await filesBelow(join(root, 'refs'))) {
    const revision = path.slice(join(root, 'refs').length + 1).replaceAll('\\', '/');
    const commit = await commitOf(root, revision);
    if (commit !== undefined && gone.has(commit)) await rm(path, { force: true });
  }
  const records = await readRecords(root);
  if (records.length === 0) return;
  const left = records
    .filter(({ commit }) => !gone.has(commit))
    .map((record) => ({
      ...record,
      files: record.files.filter(
        ({ path }) => !pointers.includes(join(root, 'snapshots', record.commit, ...path.split('/'))),
      ),
    }));
  await writeRecords(root, left);
}

/** Where there are no symbolic links, our record tells which blob a file of a snapshot was made from. */
async function recordedBlobs(root: string): Promise<Map<string, string>> {
  const records = await readRecords(root);
  return new Map(
    records.flatMap(({ commit, files }) =>
      files.map(({ path, hash }): [string, string] => [
        join(root, 'snapshots', commit, ...path.split('/')),
        join(root, 'blobs', hash.hex),
      ]),
    ),
  );
}

/** Symbolic links count nothing, and what several hard links share counts once. */
async function bytesOf(paths: readonly string[]): Promise<number> {
  const sizes = new Map<string, number>();
  for (const path of paths) {
    const stats = await lstat(path).catch(() => undefined);
    if (stats?.isFile()) sizes.set(`${stats.dev}:${stats.ino}`, stats.size);
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
}

async function removeEmptyFolders(folder: string, end: string): Promise<void> {
  for (let at = folder; at.startsWith(end) && at !== end; at = dirname(at)) {
    if (!(await lstat(at).catch(() => undefined))) continue;
    const removed = await rmdir(at).then(
      () => true,
      () => false,
    );
    if (!removed) return;
  }
}
