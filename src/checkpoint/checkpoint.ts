import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../protocol/errors.ts';
import { parseModelConfig } from './config.ts';
import { readJsonObject, readOptionalJsonObject } from './files.ts';
import { openGgufCheckpoint } from './gguf/checkpoint.ts';
import { isGguf } from './gguf/file.ts';
import { textName } from './layers.ts';
import { selectTensors } from './selectTensors.ts';
import { hasOwnHead } from './tiedHead.ts';
import type { Checkpoint, ModelConfig, TensorLocation } from './types.ts';
import { readWeights } from './weightFiles.ts';

/**
 * Opens a GGUF file (known by its first bytes), or a Hugging Face checkpoint folder: reads config.json,
 * generation_config.json and the headers of the weight files, and checks that every tensor of the architecture is there
 * in its shape. No weights are read.
 * Tensors that the architecture does not use (old rotary tables, a tied model's copy of its head) are left out; a tied
 * model's head that is no copy is used, as transformers 5 does.
 *
 * @throws UserError that says which file or tensor is missing or wrong
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  return (await isGguf(path)) ? openGgufCheckpoint(path) : openFolder(path);
}

async function openFolder(folder: string): Promise<Checkpoint> {
  const written = await readModelConfig(folder);
  const weights = await readWeights(folder);
  const found = written.textPartOnly ? textPart(weights.tensors) : weights.tensors;
  const ownHead = await hasOwnHead(written, found);
  const config = ownHead ? { ...written, tieWordEmbeddings: false } : written;
  return {
    path: folder,
    format: 'safetensors',
    config,
    tensors: selectTensors(config, found, { path: folder, described: 'config.json' }),
    weightBytes: weights.bytes,
    ...(ownHead ? { ownHead } : {}),
  };
}

/**
 * The configuration of a checkpoint folder; its weights need not be there.
 *
 * @throws UserError if the folder or its config.json is missing or not supported
 */
export async function readModelConfig(folder: string): Promise<ModelConfig> {
  const stats = await stat(folder).catch(() => undefined);
  if (!stats?.isDirectory()) {
    throw new UserError(`${folder} is ${stats ? 'a file' : 'missing'}; expected a model's folder.`);
  }
  const path = join(folder, 'config.json');
  const config = await readJsonObject(path);
  return parseModelConfig(config, await readOptionalJsonObject(join(folder, 'generation_config.json')), path);
}

/** The tensors by the names that a language model alone has for them. */
function textPart(tensors: ReadonlyMap<string, TensorLocation>): Map<string, TensorLocation> {
  return new Map(
    [...tensors].map(([fullName, location]) => {
      const name = textName(fullName);
      return [name, { ...location, name }];
    }),
  );
}
