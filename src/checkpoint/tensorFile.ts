import { extname, join } from 'node:path';
import { UserError } from '../protocol/errors.ts';
import { isFloatType } from './elementTypes.ts';
import type { FloatType } from './elementTypes.ts';
import { errorCode, exists, readExactly } from './files.ts';
import { openForReading, readSafetensors, readTensor } from './safetensors.ts';
import { floatTypeOf, TorchFile } from './torch/torchFile.ts';

/** A tensor of a file, whatever the file's format. */
export interface StoredTensor {
  name: string;
  shape: readonly number[];
  /** Undefined if the values do not widen to float32. */
  floatType: FloatType | undefined;
  /** As the file's format names it. */
  typeName: string;
  /** The values as float32, row-major. */
  read: () => Promise<Float32Array<ArrayBuffer>>;
}

/** A small file of tensors: virtual tokens or an adapter. */
export interface TensorFile {
  path: string;
  format: 'safetensors' | 'torch zip' | 'torch legacy';
  tensors: StoredTensor[];
  metadata: Readonly<Record<string, string>>;
  /** For messages: what the file holds where that is no tensor. */
  description: string;
}

/**
 * Opens a `.safetensors`, `.pt` or `.bin` file (told apart by content) for the time of `use`.
 *
 * @throws UserError if the file is missing, broken or of another kind
 */
export async function withTensorFile<Result>(
  path: string,
  use: (file: TensorFile) => Promise<Result>,
): Promise<Result> {
  if (await isSafetensors(path)) {
    const file = await readSafetensors(path);
    return use({
      path,
      format: 'safetensors',
      metadata: file.metadata,
      description: `${file.tensors.size} tensors`,
      tensors: [...file.tensors.values()].map((location) => ({
        name: location.name,
        shape: location.shape,
        floatType: isFloatType(location.dtype) ? location.dtype : undefined,
        typeName: location.dtype,
        read: () => readTensor(location),
      })),
    });
  }
  await using file = await TorchFile.open(path);
  return await use({
    path,
    format: file.format === 'zip' ? 'torch zip' : 'torch legacy',
    metadata: parseMetadata(await file.readExtra(metadataRecord)),
    description: file.rootDescription,
    tensors: [...file.tensors].map(([name, tensor]) => ({
      name,
      shape: tensor.shape,
      floatType: floatTypeOf(tensor),
      typeName: tensor.type,
      read: () => file.read(tensor),
    })),
  });
}

/** The `adapter_model` file of a PEFT folder. */
export async function adapterTensorFile(folder: string): Promise<string> {
  for (const name of ['adapter_model.safetensors', 'adapter_model.bin']) {
    if (await exists(join(folder, name))) return join(folder, name);
  }
  throw new UserError(`${folder} has neither adapter_model.safetensors nor adapter_model.bin.`);
}

/** The extra record of a `.pt` file that holds what a safetensors file has in its header. */
export const metadataRecord = 'metadata.json';

function parseMetadata(text: string | undefined): Record<string, string> {
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    const entries = Object.entries(value ?? {}) as [string, unknown][];
    return Object.fromEntries(
      entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    );
  } catch {
    return {}; // Another program's record of that name.
  }
}

/** By content where the extension does not say: a safetensors header starts with "{" behind its length. */
async function isSafetensors(path: string): Promise<boolean> {
  if (extname(path) === '.safetensors') return true;
  const handle = await openForReading(path);
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new UserError(`${path} is not a file.`);
    if (stats.size < 9) return false;
    const start = await readExactly(handle, path, 0, 9);
    return start[8] === 0x7b && start[0] !== 0x50 && start[0] !== 0x80;
  } catch (error) {
    if (errorCode(error) === 'EISDIR') throw new UserError(`${path} is a folder, not a file.`);
    throw error;
  } finally {
    await handle.close();
  }
}
