/** What can be chosen, and what of it is on this machine: the rows of `spring models` and of the quick picks. */
import { readdir, readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { architectures } from '../checkpoint/types.ts';
import { sizeOf } from './blob.ts';
import { cachedRepositories, findSnapshot, isFile, missingFiles, repositoryFolder } from './cache.ts';
import { catalogueEntries } from './catalogue.ts';
import { environmentCatalogue } from './environmentCatalogue.ts';
import { environmentCacheDir } from './environment.ts';
import { bestPrecision, estimateMemory, machineMemory, memoryPrecisions, shapeOfConfig } from './memory.ts';
import type { MachineMemory, MemoryFit, MemoryPrecision } from './memory.ts';
import { entryFolder, fileOf } from './resolve.ts';
import type { ResolveOptions } from './resolve.ts';
import type { CatalogueEntry, ModelShape } from './types.ts';

export type LocalState = 'built-in' | 'downloaded' | 'partial' | 'absent';

export interface OverviewRow {
  entry: CatalogueEntry;
  state: LocalState;
  /** Where it lies, if it is complete: the folder, or the file of virtual tokens. */
  path: string | null;
  commit: string | null;
  /** What it takes on the disk now, unfinished files included. */
  diskBytes: number;
  /** Decoders: bytes needed on the CPU in each precision; null where the shape is not known. */
  memory: Record<MemoryPrecision, number> | null;
  /** Decoders: the most exact precision that fits this machine; null: too large (or not known, see memory). */
  runsHere: { precision: MemoryPrecision; fit: MemoryFit; bytes: number } | null;
}

/**
 * One row for each entry of the catalogue, then one for each other decoder in the Hub cache. Reads the disk alone:
 * the same with and without a network.
 */
export async function overview(
  options: ResolveOptions & { memory?: MachineMemory } = {},
): Promise<OverviewRow[]> {
  const catalogue = options.catalogue ?? environmentCatalogue();
  const cacheDir = options.cacheDir ?? environmentCacheDir();
  const memory = options.memory ?? machineMemory();
  const entries = catalogueEntries(catalogue);
  const listed = new Set(entries.map(({ repository }) => repository?.toLowerCase()));
  for (const repository of await cachedRepositories(cacheDir)) {
    if (listed.has(repository.toLowerCase())) continue;
    const found = await findSnapshot(cacheDir, repository, 'base');
    if (found === undefined || !(await isDecoder(found.folder))) continue;
    entries.push({
      id: repository,
      title: repository,
      kind: (await hasChatTemplate(found.folder)) ? 'chat' : 'base',
      repository,
      gated: null,
      source: 'cache',
    });
  }
  return Promise.all(entries.map((entry) => row(entry, cacheDir, memory, options)));
}

async function row(
  entry: CatalogueEntry,
  cacheDir: string,
  memory: MachineMemory,
  options: ResolveOptions,
): Promise<OverviewRow> {
  const place =
    entry.repository === undefined
      ? await folderPlace(entry, options)
      : await cachePlace(entry, entry.repository, cacheDir);
  const { folder, ...placed } = place;
  const complete = placed.state === 'built-in' || placed.state === 'downloaded';
  const path =
    !complete || folder === null ? null : entry.kind === 'token-file' ? join(folder, entry.file) : folder;
  const shape = await shapeOf(entry, folder);
  return {
    entry,
    ...placed,
    path,
    memory:
      shape === undefined
        ? null
        : (Object.fromEntries(
            memoryPrecisions.map((precision) => [
              precision,
              estimateMemory(shape, { precision, device: 'cpu' }).total,
            ]),
          ) as Record<MemoryPrecision, number>),
    runsHere: shape === undefined ? null : (bestPrecision(shape, 'cpu', memory) ?? null),
  };
}

interface Place {
  state: LocalState;
  folder: string | null;
  commit: string | null;
  diskBytes: number;
}

async function folderPlace(entry: CatalogueEntry, options: ResolveOptions): Promise<Place> {
  const folder = entryFolder(entry, options);
  const missing = await missingFiles(folder, entry.kind, fileOf(entry));
  const present = entry.source === 'catalogue' ? 'built-in' : 'downloaded';
  return {
    state: missing.length === 0 ? present : 'absent',
    folder,
    commit: null,
    diskBytes: await bytesBelow(folder, fileOf(entry)),
  };
}

async function cachePlace(entry: CatalogueEntry, repository: string, cacheDir: string): Promise<Place> {
  const file = fileOf(entry);
  const blobs = join(repositoryFolder(cacheDir, repository), 'blobs');
  const names = (await readdir(blobs).catch(() => [])).filter((name) => name.endsWith('.incomplete'));
  const sizes = await Promise.all(names.map((name) => sizeOf(join(blobs, name))));
  // Whose unfinished file it is in a repository of several entries cannot be told from its name, a hash.
  const unfinished =
    entry.kind === 'token-file' ? 0 : sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  const found = await findSnapshot(cacheDir, repository, entry.kind, { revision: entry.revision, file });
  if (found === undefined) {
    const state = unfinished > 0 ? 'partial' : 'absent';
    return { state, folder: null, commit: null, diskBytes: unfinished };
  }
  const { folder, commit, missing } = found;
  const diskBytes = unfinished + (await bytesBelow(folder, entry.kind === 'token-file' ? file : undefined));
  if (missing.length === 0) return { state: 'downloaded', folder, commit, diskBytes };
  return { state: entry.kind === 'token-file' ? 'absent' : 'partial', folder, commit, diskBytes };
}

/** Bytes of a file in a folder, or of all files; what several names share counts once. */
async function bytesBelow(folder: string, file: string | undefined): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => file === undefined || path === join(folder, file));
  const real = await Promise.all(files.map((path) => realpath(path).catch(() => path)));
  const sizes = await Promise.all([...new Set(real)].map(sizeOf));
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

async function shapeOf(entry: CatalogueEntry, folder: string | null): Promise<ModelShape | undefined> {
  if (entry.kind === 'token-file' || entry.kind === 'embedding') return undefined;
  if (entry.shape !== undefined || folder === null) return entry.shape;
  return shapeOfConfig(await readJson(join(folder, 'config.json')));
}

async function isDecoder(folder: string): Promise<boolean> {
  const { architectures: named } = await readJson(join(folder, 'config.json'));
  const supported: readonly unknown[] = architectures;
  return (
    Array.isArray(named) &&
    named.some((name) => supported.includes(name) || String(name).endsWith('ForCausalLM'))
  );
}

async function hasChatTemplate(folder: string): Promise<boolean> {
  if (await isFile(join(folder, 'chat_template.jinja'))) return true;
  return 'chat_template' in (await readJson(join(folder, 'tokenizer_config.json')));
}

/** An object from a JSON file, empty if it is none: a list must not fail for one bad model. */
async function readJson(file: string): Promise<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
