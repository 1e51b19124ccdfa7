import { basename, join } from 'node:path';
import { UserError } from '../protocol/errors.ts';
import { exists, isJsonObject, readJsonObject } from './files.ts';
import { readSafetensors } from './safetensors.ts';
import type { TensorLocation } from './types.ts';

/** All tensors of a checkpoint folder, wherever they lie. */
export interface Weights {
  tensors: Map<string, TensorLocation>;
  /** Bytes of all weight files. */
  bytes: number;
}

/**
 * Reads the headers of a folder's `model.safetensors`, or of the shards that `model.safetensors.index.json` lists.
 * Symlinks (the Hub cache is made of them) are resolved to the real files.
 *
 * @throws UserError that names every missing, half-downloaded or wrong file
 */
export async function readWeights(folder: string): Promise<Weights> {
  const single = join(folder, 'model.safetensors');
  if (await exists(single)) {
    const { tensors, bytes } = await readSafetensors(single);
    return { tensors, bytes };
  }
  const index = join(folder, 'model.safetensors.index.json');
  if (await exists(index)) return readShards(folder, index);
  for (const other of ['pytorch_model.bin', 'pytorch_model.bin.index.json']) {
    if (await exists(join(folder, other))) {
      throw new UserError(
        `${folder} has its weights as ${other} only; safetensors files are needed. Download the model's ` +
          'safetensors version, or convert it with transformers: save_pretrained(..., safe_serialization=True).',
      );
    }
  }
  throw new UserError(
    `${folder} has no weights: neither model.safetensors nor model.safetensors.index.json is there.`,
  );
}

async function readShards(folder: string, index: string): Promise<Weights> {
  const { weight_map: map } = await readJsonObject(index);
  if (!isJsonObject(map)) throw new UserError(`${index} has no "weight_map" object: download it again.`);
  const names = new Map<string, string[]>();
  for (const [tensor, shard] of Object.entries(map)) {
    // A path would let an index point at any file of the machine.
    if (typeof shard !== 'string' || shard !== basename(shard) || shard.includes('\\') || shard === '') {
      throw new UserError(`${index} places "${tensor}" in ${JSON.stringify(shard)}, which is no file name.`);
    }
    const inShard = names.get(shard);
    if (inShard) inShard.push(tensor);
    else names.set(shard, [tensor]);
  }
  if (names.size === 0) throw new UserError(`${index} lists no tensors: download it again.`);

  const missing: string[] = [];
  for (const shard of names.keys()) if (!(await exists(join(folder, shard)))) missing.push(shard);
  if (missing.length > 0) {
    throw new UserError(
      `${folder} is incomplete: ${missing.join(', ')} of ${names.size} weight files ` +
        `${missing.length === 1 ? 'is' : 'are'} missing. Download the model again.`,
    );
  }

  const tensors = new Map<string, TensorLocation>();
  let bytes = 0;
  for (const [shard, expected] of names) {
    const file = await readSafetensors(join(folder, shard));
    bytes += file.bytes;
    for (const name of expected) {
      const location = file.tensors.get(name);
      if (!location) {
        throw new UserError(
          `${join(folder, shard)} does not hold tensor "${name}", which ${basename(index)} places there: ` +
            'index and shards are not of the same model. Download the model again.',
        );
      }
      tensors.set(name, location);
    }
  }
  return { tensors, bytes };
}
