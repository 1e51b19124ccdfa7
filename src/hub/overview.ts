/** What can be chosen, and what of it is on this machine: the rows of `spring models` and of the quick picks. */
import { readdir, readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { architectures } from '../checkpoint/types.ts';
import { sizeOf } from './blob.ts';
import { cachedRepositories, contentOf, findSnapshot, isFile, repositoryFolder } from './cache.ts';
import { catalogueEntries } from './catalogue.ts';
import { environmentCatalogue } from './environmentCatalogue.ts';
import { environmentCacheDir } from './environment.ts';
import {
  bestPrecision,
  estimateFileMemory,
  estimateMemory,
  machineMemory,
  memoryFit,
  memoryPrecisions,
  shapeOfConfig,
} from './memory.ts';
import type { MachineMemory, MemoryFit, MemoryPrecision } from './memory.ts';
import { entryFolder } from './entryFolder.ts';
import type { ResolveOptions } from './resolve.ts';
import type { CatalogueEntry, ModelEntry, ModelShape } from './types.ts';

export type LocalState = 'built-in' | 'downloaded' | 'partial' | 'absent';

export interface OverviewRow {
  entry: CatalogueEntry;
  state: LocalState;
  /** Where it lies, if it is complete: the folder, the GGUF file, or the file of virtual tokens. */
  path: string | null;
  commit: string | null;
  /** What it takes on the disk now, unfinished files included. */
  diskBytes: number;
  /**
   * Decoders: bytes needed on the CPU in each precision (`native`: as the GGUF file stores it); null where neither shape
   * nor size is known.
   */
  memory: Partial<Record<RowPrecision, number>> | null;
  /** Decoders: the most exact precision that fits this machine; null: too large (or not known, see memory). */
  runsHere: { precision: RowPrecision; fit: MemoryFit; bytes: number } | null;
}

export type RowPrecision = MemoryPrecision | 'native';

/** The precision that needs the least memory, with its bytes. */
export function leastMemory(memory: NonNullable<OverviewRow['memory']>): [RowPrecision, number] {
  const uses = Object.entries(memory) as [RowPrecision, number][];
  return uses.reduce((least, use) => (use[1] < least[1] ? use : least));
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
  const { folder, parts, ...placed } = place;
  const complete = placed.state === 'built-in' || placed.state === 'downloaded';
  const path = !complete || folder === null ? null : join(folder, parts[0] ?? '');
  return { entry, ...placed, path, ...(await memoryOf(entry, place, complete, memory)) };
}

async function memoryOf(
  entry: CatalogueEntry,
  { folder, diskBytes }: Place,
  complete: boolean,
  machine: MachineMemory,
): Promise<Pick<OverviewRow, 'memory' | 'runsHere'>> {
  if (entry.kind === 'token-file' || entry.kind === 'embedding') return { memory: null, runsHere: null };
  if (entry.file !== undefined) {
    const fileBytes = complete ? diskBytes : entry.downloadBytes;
    if (fileBytes === undefined) return { memory: null, runsHere: null };
    const bytes = estimateFileMemory(fileBytes, entry.shape);
    const fit = memoryFit(bytes, machine);
    const runsHere = fit === 'too-large' ? null : { precision: 'native' as const, fit, bytes };
    return { memory: { native: bytes }, runsHere };
  }
  const shape = await shapeOf(entry, folder);
  if (shape === undefined) return { memory: null, runsHere: null };
  const uses = memoryPrecisions.map((precision) => [
    precision,
    estimateMemory(shape, { precision, device: 'cpu' }).total,
  ]);
  return {
    memory: Object.fromEntries(uses) as Record<MemoryPrecision, number>,
    runsHere: bestPrecision(shape, 'cpu', machine) ?? null,
  };
}

interface Place {
  state: LocalState;
  folder: string | null;
  /** Of the entry, where it is one file (in parts). */
  parts: string[];
  commit: string | null;
  diskBytes: number;
}

async function folderPlace(entry: CatalogueEntry, options: ResolveOptions): Promise<Place> {
  const folder = entryFolder(entry, options);
  const { missing, parts } = await contentOf(folder, entry.kind, entry.file);
  const present = entry.source === 'catalogue' ? 'built-in' : 'downloaded';
  return {
    state: missing.length === 0 ? present : 'absent',
    ...{ folder, parts, commit: null },
    diskBytes: await bytesBelow(folder, parts),
  };
}

async function cachePlace(entry: CatalogueEntry, repository: string, cacheDir: string): Promise<Place> {
  const { file, revision } = entry;
  const blobs = join(repositoryFolder(cacheDir, repository), 'blobs');
  const names = (await readdir(blobs).catch(() => [])).filter((name) => name.endsWith('.incomplete'));
  const sizes = await Promise.all(names.map((name) => sizeOf(join(blobs, name))));
  // Whose unfinished file it is in a repository of several entries cannot be told from its name, a hash.
  const unfinished =
    entry.kind === 'token-file' ? 0 : sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  const found = await findSnapshot(cacheDir, repository, entry.kind, { revision, file });
  if (found === undefined) {
    const state = unfinished > 0 ? 'partial' : 'absent';
    return { state, folder: null, parts: [], commit: null, diskBytes: unfinished };
  }
  const { folder, commit, missing, parts } = found;
  // Of a single file nothing is here while the snapshot shows others alone.
  const isSingle = entry.kind !== 'embedding' && file !== undefined;
  const isHere = !isSingle || parts.length > 0;
  const diskBytes = unfinished + (isHere ? await bytesBelow(folder, parts) : 0);
  const state = missing.length === 0 ? 'downloaded' : diskBytes > 0 ? 'partial' : 'absent';
  return { state, folder, parts, commit, diskBytes };
}

/** Bytes of some files in a folder, or of all if none are named; what several names share counts once. */
async function bytesBelow(folder: string, parts: readonly string[]): Promise<number> {
  const wanted = parts.map((part) => join(folder, part));
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => wanted.length === 0 || wanted.includes(path));
  const real = await Promise.all(files.map((path) => realpath(path).catch(() => path)));
  const sizes = await Promise.all([...new Set(real)].map(sizeOf));
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

async function shapeOf(entry: ModelEntry, folder: string | null): Promise<ModelShape | undefined> {
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
