/**
 * Reading the Hub cache: `models--owner--name/{blobs,refs,snapshots}`, the layout of Python's huggingface_hub,
 * whose caches are used in place. Nothing here writes or reaches the network.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { getRepoFolderName } from '@huggingface/hub';
import { isRelativeFile, isRepositoryName } from './catalogue.ts';
import { findFiles } from './findFiles.ts';
import { ggufChoices, isGgufName, matchingGgufs } from './ggufNames.ts';
import type { CatalogueEntry } from './types.ts';

export const commitPattern = /^[0-9a-f]{40}$/;
const folderPrefix = 'models--';
/** Folders below a snapshot in which GGUF files are looked for: some lie in one of their quantisation. */
export const folderDepth = 3;

/** One commit of a repository in the cache. */
export interface Snapshot {
  repository: string;
  commit: string;
  folder: string;
  /** Files that a model of this kind needs and that are not (completely) here. Empty: ready to use. */
  missing: string[];
  /** A model in a GGUF file, or a token file: the paths of its parts in the folder, the one to open first. Else empty. */
  parts: string[];
}

/** The kinds of content, which need different files. */
export type ContentKind = CatalogueEntry['kind'];

/** The folder of a repository in the cache, whether it exists or not. */
export function repositoryFolder(cacheDir: string, repository: string): string {
  return join(cacheDir, getRepoFolderName({ name: repository, type: 'model' }));
}

/** Repositories (`owner/name`, models only) that have a folder in the cache, sorted. */
export async function cachedRepositories(cacheDir: string): Promise<string[]> {
  const names = await readdir(cacheDir).catch(() => []);
  return names
    .filter((name) => name.startsWith(folderPrefix))
    .map((name) => name.slice(folderPrefix.length).split('--').join('/'))
    .filter(isRepositoryName)
    .sort();
}

/**
 * The snapshot to use: the one that `revision` (branch, tag or commit) names. Without a revision `main`, or,
 * where that is not complete, the newest snapshot that is. Undefined if the cache has none.
 */
export async function findSnapshot(
  cacheDir: string,
  repository: string,
  kind: ContentKind,
  options: { revision?: string | undefined; file?: string | undefined } = {},
): Promise<Snapshot | undefined> {
  const root = repositoryFolder(cacheDir, repository);
  const named = await commitOf(root, options.revision ?? 'main');
  const commits = options.revision === undefined ? [named, ...(await commitsByAge(root))] : [named];
  let first: Snapshot | undefined;
  for (const commit of new Set(commits)) {
    if (commit === undefined) continue;
    const folder = join(root, 'snapshots', commit);
    if (!(await isFolder(folder))) continue;
    const snapshot = { repository, commit, folder, ...(await contentOf(folder, kind, options.file)) };
    if (snapshot.missing.length === 0) return snapshot;
    first ??= snapshot;
  }
  return first;
}

/**
 * What a folder lacks to be used as this kind of content, and the parts of the GGUF file that is the model. Shards that
 * `model.safetensors.index.json` names count, dangling links do not. Without `file` a folder's only GGUF file counts
 * where there is no config.json.
 *
 * @param file its path in the folder; of a GGUF file perhaps its quantisation
 */
export async function contentOf(
  folder: string,
  kind: ContentKind,
  file?: string,
): Promise<Pick<Snapshot, 'missing' | 'parts'>> {
  if (kind === 'token-file') {
    const wanted = file === undefined ? [] : [file];
    const missing = await absent(folder, wanted);
    return { missing, parts: missing.length === 0 ? wanted : [] };
  }
  if (kind === 'embedding') {
    return { missing: await absent(folder, ['tokenizer.json', file ?? 'onnx/model.onnx']), parts: [] };
  }
  const missing = await absent(folder, ['config.json', 'tokenizer.json']);
  if (file !== undefined || missing.includes('config.json')) {
    const choices = ggufChoices(await findFiles(folder, folderDepth, isGgufName));
    const [choice, ...others] = file === undefined ? choices : matchingGgufs(choices, file);
    if (choice !== undefined && others.length === 0) {
      const parts = choice.files.map(({ path }) => path);
      return { missing: choice.missingParts.map((part) => `part ${part} of ${choice.path}`), parts };
    }
    if (file !== undefined) return { missing: [file], parts: [] };
  }
  const indexFile = join(folder, 'model.safetensors.index.json');
  if ((await isFile(join(folder, 'model.safetensors'))) || !(await isFile(indexFile))) {
    return { missing: [...missing, ...(await absent(folder, ['model.safetensors']))], parts: [] };
  }
  const shards = shardsOfIndex(await readFile(indexFile, 'utf8').catch(() => ''));
  missing.push(...(shards === undefined ? [basename(indexFile)] : await absent(folder, shards)));
  return { missing, parts: [] };
}

/** The files that the text of a model.safetensors.index.json names; undefined if it is no such text. */
export function shardsOfIndex(text: string): string[] | undefined {
  try {
    const index = JSON.parse(text) as { weight_map?: unknown };
    if (typeof index.weight_map !== 'object' || index.weight_map === null) return undefined;
    const shards = [...new Set(Object.values(index.weight_map))];
    return shards.length > 0 && shards.every(isFileName) ? shards.sort() : undefined;
  } catch {
    return undefined;
  }
}

/** The commit that a branch, tag or commit stands for in the cache; undefined if not known there. */
export async function commitOf(root: string, revision: string): Promise<string | undefined> {
  if (commitPattern.test(revision)) return revision;
  if (!isRelativeFile(revision)) return undefined;
  const text = await readFile(join(root, 'refs', revision), 'utf8').catch(() => '');
  return commitPattern.test(text.trim()) ? text.trim() : undefined;
}

/** Commits that have a snapshot, newest first. */
export async function commitsByAge(root: string): Promise<string[]> {
  const snapshots = join(root, 'snapshots');
  const names = (await readdir(snapshots).catch(() => [])).filter((name) => commitPattern.test(name));
  const aged = await Promise.all(
    names.map(async (name) => ({ name, time: (await stat(join(snapshots, name))).mtimeMs })),
  );
  return aged.sort((a, b) => b.time - a.time || a.name.localeCompare(b.name)).map(({ name }) => name);
}

/** Whether the path is a file, symbolic links followed. */
export async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}

/** Whether the path is a folder, symbolic links followed. */
export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

function isFileName(value: unknown): value is string {
  return isRelativeFile(value) && value === basename(value);
}

async function absent(folder: string, files: readonly string[]): Promise<string[]> {
  const found = await Promise.all(files.map((file) => isFile(join(folder, file))));
  return files.filter((_, index) => !found[index]);
}
