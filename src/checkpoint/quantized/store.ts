/**
 * Prepared weights kept between sessions: a folder for each checkpoint and precision, with the weights and a record of
 * what they were made from. A folder appears under its name only when it is whole, so a crash leaves nothing that could
 * be taken for weights.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { messageOf, UserError } from '../../protocol/errors.ts';
import { readOptionalJsonObject } from '../files.ts';
import { readSafetensors } from '../safetensors.ts';
import type { Checkpoint, TensorLocation } from '../types.ts';
import { writePreparedFile, type ConversionProgress } from './convert.ts';
import { keptFolderName, type PreparedPrecision } from './folders.ts';
import { planFile } from './preparedFile.ts';
import { plannedTensors, recipeOf, recipeVersion, type LinearRecipe, type Recipe } from './recipe.ts';

/** Prepared weights, ready to be loaded. */
export interface PreparedWeights {
  precision: PreparedPrecision;
  folder: string;
  /** By name in the prepared file. */
  tensors: ReadonlyMap<string, TensorLocation>;
  linears: readonly LinearRecipe[];
  /** Bytes of the file. */
  bytes: number;
}

/** A weight file of the checkpoint, as it was when it was read. */
interface SourceFile {
  file: string;
  bytes: number;
  modifiedMs: number;
}

/** What record.json says. */
interface ConversionRecord {
  recipeVersion: number;
  precision: PreparedPrecision;
  /** The weights, with their size and time of change. */
  result: SourceFile;
  sources: SourceFile[];
  /** By tensor. */
  sha256: Record<string, string>;
}

const weightsName = 'model.safetensors';
const recordName = 'record.json';
/** A temporary folder older than this belongs to a process that died. */
const abandonedAfterMs = 24 * 60 * 60 * 1000;

/**
 * The prepared weights of a checkpoint: those that are kept, if they were made from its present files, else new ones.
 * Yields progress while they are made.
 *
 * @param root folder of all prepared weights
 * @throws UserError if they cannot be made or written, CancelledError when the signal fires
 */
export async function* preparedWeights(
  checkpoint: Checkpoint,
  precision: PreparedPrecision,
  root: string,
  signal?: AbortSignal,
): AsyncGenerator<ConversionProgress, PreparedWeights> {
  const recipe = recipeOf(checkpoint, precision, resolve(root));
  const sources = await sourceFiles(checkpoint);
  const folder = join(root, await keptFolderName(checkpoint.path, precision));
  const kept = await openKept(folder, recipe, precision, sources);
  if (kept) return kept;

  const temporary = `${folder}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await mkdir(temporary, { recursive: true });
    await removeAbandoned(root);
    await checkSpace(checkpoint, precision, root, planFile(plannedTensors(recipe)).bytes);
    const file = join(temporary, weightsName);
    const sha256 = yield* writePreparedFile(recipe, file, signal);
    const record: ConversionRecord = {
      recipeVersion,
      precision,
      result: { ...(await fileState(file)), file: weightsName },
      sources,
      sha256,
    };
    await writeFile(join(temporary, recordName), JSON.stringify(record, null, 2), { flush: true });
    await rm(folder, { recursive: true, force: true });
    await rename(temporary, folder).catch(async (error: unknown) => {
      // another process may have been faster
      if (!(await openKept(folder, recipe, precision, sources))) throw error;
    });
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    throw new UserError(
      `The ${precision} weights of ${checkpoint.path} could not be written to ${root}: ${messageOf(error)}. ` +
        'Free some space, or name another folder with SPRING_RAG_QUANTIZED.',
      { cause: error },
    );
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  const made = await openKept(folder, recipe, precision, sources);
  if (!made) {
    throw new UserError(`${checkpoint.path} changed while its ${precision} weights were made: try again.`);
  }
  return made;
}

/** @throws UserError before anything is written if the disk has no room for so many bytes */
async function checkSpace(
  { path }: Checkpoint,
  precision: PreparedPrecision,
  root: string,
  bytes: number,
): Promise<void> {
  const { bavail, bsize } = await statfs(root);
  if (bavail * bsize >= bytes) return;
  const megabytes = (count: number): string => `${Math.ceil(count / 1e6).toLocaleString('en')} MB`;
  throw new UserError(
    `The ${precision} weights of ${path} need ${megabytes(bytes)}, but ${megabytes(bavail * bsize)} are free in ` +
      `${root}. Free some space, or name another folder with SPRING_RAG_QUANTIZED.`,
  );
}

/** Weights made earlier; undefined if there are none, or they are not those of the present files. */
async function openKept(
  folder: string,
  recipe: Recipe,
  precision: PreparedPrecision,
  sources: readonly SourceFile[],
): Promise<PreparedWeights | undefined> {
  try {
    const record = (await readOptionalJsonObject(join(folder, recordName))) as ConversionRecord | undefined;
    if (record?.recipeVersion !== recipeVersion || record.precision !== precision) return undefined;
    if (JSON.stringify(record.sources) !== JSON.stringify(sources)) return undefined;
    const { tensors, bytes, file } = await readSafetensors(join(folder, weightsName));
    const state = await fileState(file);
    for (const { name, dtype, shape } of plannedTensors(recipe)) {
      const found = tensors.get(name);
      if (found?.dtype !== dtype || found.shape.join() !== shape.join()) return undefined;
    }
    const untouched = state.bytes === record.result.bytes && state.modifiedMs === record.result.modifiedMs;
    // a copy of the folder has other times: then the content decides
    if (!untouched && !(await hashesAgree(tensors, record.sha256))) return undefined;
    return { precision, folder, tensors, linears: recipe.linears, bytes };
  } catch {
    return undefined;
  }
}

async function hashesAgree(
  tensors: ReadonlyMap<string, TensorLocation>,
  sha256: Readonly<Record<string, string>>,
): Promise<boolean> {
  for (const { name, file, offset, length } of tensors.values()) {
    const hash = createHash('sha256');
    const bytes = createReadStream(file, { start: offset, end: offset + length - 1 });
    for await (const chunk of bytes) hash.update(chunk as Buffer);
    if (hash.digest('hex') !== sha256[name]) return false;
  }
  return true;
}

async function sourceFiles(checkpoint: Checkpoint): Promise<SourceFile[]> {
  const files = new Set([...checkpoint.tensors.values()].map(({ file }) => file));
  return Promise.all([...files].toSorted().map(fileState));
}

async function fileState(file: string): Promise<SourceFile> {
  const { size, mtimeMs } = await stat(file);
  return { file, bytes: size, modifiedMs: mtimeMs };
}

async function removeAbandoned(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    if (!name.endsWith('.tmp')) continue;
    const path = join(root, name);
    const stats = await stat(path).catch(() => undefined);
    if (stats && Date.now() - stats.mtimeMs > abandonedAfterMs)
      await rm(path, { recursive: true, force: true });
  }
}
