/** What models and embedding files are, without loading them. Problems are reported, not thrown. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, isAbsolute, join } from 'node:path';
import { openCheckpoint } from '../checkpoint/checkpoint.ts';
import { contextLength } from '../checkpoint/ropeConfig.ts';
import { weightsFingerprint } from '../checkpoint/weightsFingerprint.ts';
import { readVirtualTokens } from '../checkpoint/virtualTokens.ts';
import type { Checkpoint } from '../checkpoint/types.ts';
import { repositoryOfFolder } from '../hub/fit.ts';
import { estimateFileMemory, estimateMemory } from '../hub/memory.ts';
import type { MemoryPrecision } from '../hub/memory.ts';
import { overview } from '../hub/overview.ts';
import { resolveModel } from '../hub/resolve.ts';
import type { ModelInfo, TokenFileInfo } from '../protocol/comparison.ts';
import { messageOf } from '../protocol/errors.ts';
import { whileOpening } from './openFiles.ts';

/** The built-in model's name. */
const demo = 'demo';

/** What of the model list (and of the Hub cache) is complete on this machine: models by id, embedding files by path. */
export async function listInstalled(
  extensionFolder: string,
): Promise<{ models: string[]; tokenFiles: string[] }> {
  const installed = (await overview({ extensionFolder })).filter(
    ({ state, path }) => path !== null && (state === 'built-in' || state === 'downloaded'),
  );
  return {
    models: installed
      .filter(({ entry }) => entry.kind === 'chat' || entry.kind === 'base')
      .map(({ entry }) => entry.id),
    tokenFiles: installed.filter(({ entry }) => entry.kind === 'token-file').map(({ path }) => path!),
  };
}

/** Describes a model: any name that `resolveModel` knows. */
export async function inspectModel(model: string, extensionFolder: string): Promise<ModelInfo> {
  const nothing = {
    architecture: '',
    hiddenSize: 0,
    numLayers: 0,
    contextLength: 0,
    weightBytes: 0,
    fingerprint: '',
  };
  const name = isAbsolute(model) ? basename(model).replace(/\.gguf$/i, '') : model;
  let folder = '';
  try {
    folder = await resolveModel(model, { extensionFolder });
    const checkpoint = await whileOpening(folder, () => openCheckpoint(folder));
    const { config, weightBytes, format } = checkpoint;
    return {
      ...{ id: model, name, folder, source: sourceOf(model, folder), weightBytes },
      architecture: config.architecture,
      hiddenSize: config.hiddenSize,
      numLayers: config.numLayers,
      contextLength: contextLength(config),
      fingerprint: await (format === 'gguf' ? fingerprintOfGguf(checkpoint) : fingerprintOf(folder)),
      weightsFingerprint: await weightsFingerprint(checkpoint),
      ...(format === 'gguf' && { memory: memoryOf(checkpoint) }),
    };
  } catch (error) {
    return {
      ...nothing,
      id: model,
      name,
      folder,
      source: sourceOf(model, folder),
      problem: messageOf(error),
    };
  }
}

function sourceOf(model: string, path: string): ModelInfo['source'] {
  if (model === demo) return 'built-in';
  if (isAbsolute(model)) return 'folder';
  return path === '' || repositoryOfFolder(path) !== undefined ? 'hub' : 'local';
}

/** What a GGUF model takes in each precision. */
function memoryOf({ config, weightBytes }: Checkpoint): NonNullable<ModelInfo['memory']> {
  const bytes = (precision: MemoryPrecision): number =>
    estimateMemory(config, { precision, device: 'cpu' }).total;
  return {
    native: estimateFileMemory(weightBytes, config),
    ...{ f32: bytes('f32'), int8: bytes('int8'), int4: bytes('int4') },
  };
}

/** Describes a virtual-token file. */
export async function inspectTokenFile(path: string, extensionFolder: string): Promise<TokenFileInfo> {
  const cached = repositoryOfFolder(path) !== undefined;
  const source = path.startsWith(join(extensionFolder, 'media')) ? 'built-in' : cached ? 'hub' : 'folder';
  const name = basename(path);
  try {
    const { count, hiddenSize, dtype, sha256, metadata } = await whileOpening(path, () =>
      readVirtualTokens(path),
    );
    const { backbone, backboneFingerprint } = metadata;
    return {
      ...{ path, name, source, rows: count, hiddenSize, dtype, sha256 },
      ...(backbone !== undefined && { backbone }),
      ...(backboneFingerprint !== undefined && { backboneFingerprint }),
    };
  } catch (error) {
    return { path, name, source, rows: 0, hiddenSize: 0, dtype: '', sha256: '', problem: messageOf(error) };
  }
}

/**
 * Identifies a checkpoint in experiment records: a hash of config.json and tokenizer.json and of the weight files'
 * names and sizes. Hashing gigabytes of weights would keep the user waiting.
 */
async function fingerprintOf(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const file of ['config.json', 'tokenizer.json']) {
    hash.update(`${file}\n`).update(await readFile(join(folder, file)));
  }
  const weights = (await readdir(folder)).filter((name) => name.endsWith('.safetensors')).sort();
  for (const name of weights) hash.update(`${name} ${String((await stat(join(folder, name))).size)}\n`);
  return hash.digest('hex');
}

/** Of a GGUF file: a hash of all that stands before the weights, and the size. Its name does not count. */
async function fingerprintOfGguf({ path, tensors, weightBytes }: Checkpoint): Promise<string> {
  const file = await realpath(path);
  const offsets = [...tensors.values()].filter((tensor) => tensor.file === file).map(({ offset }) => offset);
  const hash = createHash('sha256');
  const header = createReadStream(file, { end: Math.max(0, Math.min(...offsets, weightBytes) - 1) });
  for await (const bytes of header) hash.update(bytes as Buffer);
  return hash.update(`\n${String(weightBytes)}\n`).digest('hex');
}
