/** What models and embedding files are, without loading them. Problems are reported, not thrown. */
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, isAbsolute, join } from 'node:path';
import { openCheckpoint } from '../checkpoint/checkpoint.ts';
import { readVirtualTokens } from '../checkpoint/virtualTokens.ts';
import { repositoryOfFolder } from '../hub/fit.ts';
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

/** Describes a model: `demo`, a name of the model list, a Hub repository in the cache, or a folder. */
export async function inspectModel(model: string, extensionFolder: string): Promise<ModelInfo> {
  const nothing = {
    architecture: '',
    hiddenSize: 0,
    numLayers: 0,
    contextLength: 0,
    weightBytes: 0,
    fingerprint: '',
  };
  const source = model === demo ? 'built-in' : isAbsolute(model) ? 'folder' : 'hub';
  const name = source === 'folder' ? basename(model) : model;
  let folder = '';
  try {
    folder = await resolveModel(model, { extensionFolder });
    const { config, weightBytes } = await whileOpening(folder, () => openCheckpoint(folder));
    return {
      ...{ id: model, name, folder, source, weightBytes },
      architecture: config.architecture,
      hiddenSize: config.hiddenSize,
      numLayers: config.numLayers,
      contextLength: config.maxPositionEmbeddings,
      fingerprint: await fingerprintOf(folder),
    };
  } catch (error) {
    return { ...nothing, id: model, name, folder, source, problem: messageOf(error) };
  }
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
