/** The prepared weights that are kept between sessions: which there are, and removing them. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { exists, isJsonObject, readOptionalJsonObject } from '../files.ts';
import { keptFolderName, preparedPrecisions, type PreparedPrecision } from './folders.ts';

/** The prepared weights of one checkpoint in one precision. */
export interface KeptWeights {
  precision: PreparedPrecision;
  /** The folder that holds them, absolute. */
  folder: string;
  /** Names of the checkpoint's weight files, absolute. */
  sources: string[];
  /** Whether the checkpoint's weight files are still there. */
  hasSources: boolean;
  bytes: number;
}

/**
 * All prepared weights in the folder, by name; none if there is no such folder.
 *
 * @param root folder of all prepared weights (`defaultQuantizedFolder`)
 */
export async function listKept(root: string): Promise<KeptWeights[]> {
  const names = await readdir(root).catch(() => []);
  const kept = await Promise.all(
    names
      .filter((name) => !name.endsWith('.tmp'))
      .sort()
      .map((name) => keptIn(join(root, name))),
  );
  return kept.filter((weights) => weights !== undefined);
}

/** The prepared weights of the checkpoint in a folder; none if the folder is not there. */
export async function keptOf(checkpointFolder: string, root: string): Promise<KeptWeights[]> {
  const kept: KeptWeights[] = [];
  for (const precision of preparedPrecisions) {
    const name = await keptFolderName(checkpointFolder, precision).catch(() => undefined);
    const weights = name === undefined ? undefined : await keptIn(join(root, name));
    if (weights) kept.push(weights);
  }
  return kept;
}

/** Removes prepared weights; they are made again when they are needed. */
export async function removeKept(weights: readonly Pick<KeptWeights, 'folder'>[]): Promise<void> {
  for (const { folder } of weights) await rm(folder, { recursive: true, force: true });
}

/**
 * Removes prepared weights whose model lay below a folder and is gone.
 *
 * @returns the bytes that this freed
 */
export async function removeOrphans(modelsFolder: string, root: string): Promise<number> {
  const below = `${modelsFolder}${sep}`;
  const orphans = (await listKept(root)).filter(
    ({ hasSources, sources }) => !hasSources && sources.some((source) => source.startsWith(below)),
  );
  await removeKept(orphans);
  return orphans.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Undefined for a folder that is something else: that is left alone. */
async function keptIn(folder: string): Promise<KeptWeights | undefined> {
  const record = await readOptionalJsonObject(join(folder, 'record.json')).catch(() => undefined);
  const precision = preparedPrecisions.find((known) => known === record?.['precision']);
  if (!record || precision === undefined || !Array.isArray(record['sources'])) return undefined;
  const sources = (record['sources'] as unknown[]).flatMap((source) =>
    isJsonObject(source) && typeof source['file'] === 'string' ? [source['file']] : [],
  );
  const present = await Promise.all(sources.map(exists));
  const names = await readdir(folder);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  return {
    ...{ precision, folder, sources },
    hasSources: present.every(Boolean),
    bytes: sizes.reduce((sum, size) => sum + size, 0),
  };
}
