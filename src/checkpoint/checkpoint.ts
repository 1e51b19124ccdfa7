import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../protocol/errors.ts';
import { parseModelConfig } from './config.ts';
import { readJsonObject, readOptionalJsonObject } from './files.ts';
import { expectedTensors, textName } from './layers.ts';
import type { Checkpoint, ModelConfig, TensorLocation } from './types.ts';
import { readWeights } from './weightFiles.ts';

/** Most tensors named in one message; the rest is counted. */
const namedInMessage = 5;

/**
 * Opens a Hugging Face checkpoint folder: reads config.json, generation_config.json and the headers of the weight
 * files, and checks that every tensor of the architecture is there in its shape. No weights are read.
 * Tensors that the architecture does not use (old rotary tables, a tied model's copy of its head) are left out.
 *
 * @throws UserError that says which file or tensor is missing or wrong
 */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const config = await readModelConfig(folder);
  const weights = await readWeights(folder);
  return {
    path: folder,
    format: 'safetensors',
    config,
    tensors: selectTensors(config, config.textPartOnly ? textPart(weights.tensors) : weights.tensors, folder),
    weightBytes: weights.bytes,
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

function selectTensors(
  config: ModelConfig,
  found: ReadonlyMap<string, TensorLocation>,
  folder: string,
): Map<string, TensorLocation> {
  const selected = new Map<string, TensorLocation>();
  const missing: string[] = [];
  const wrong: string[] = [];
  for (const [name, shape] of expectedTensors(config)) {
    const location = found.get(name);
    if (!location) missing.push(name);
    else if (location.shape.join() !== shape.join()) {
      wrong.push(`${name} is [${location.shape.join(', ')}], expected [${shape.join(', ')}]`);
    } else if (location.dtype !== 'F32' && location.dtype !== 'F16' && location.dtype !== 'BF16') {
      wrong.push(`${name} has the element type ${location.dtype}, expected F32, F16 or BF16`);
    } else selected.set(name, location);
  }
  if (missing.length > 0) {
    throw new UserError(
      `${folder}: ${some(missing)} ${missing.length === 1 ? 'is' : 'are'} missing from the weight files. ` +
        `A ${config.architecture} of this config.json needs ${missing.length === 1 ? 'it' : 'them'}; ` +
        'download the model again.',
    );
  }
  if (wrong.length > 0) {
    throw new UserError(
      `${folder}: the weight files do not fit config.json: ${some(wrong)}. ` +
        'Both must come from the same version of the model.',
    );
  }
  return selected;
}

function some(items: readonly string[]): string {
  const rest = items.length - namedInMessage;
  const named = items.slice(0, namedInMessage).join('; ');
  return rest > 0 ? `${named}; and ${rest} more` : named;
}
