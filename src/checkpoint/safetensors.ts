import { open, realpath } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { messageOf, UserError } from '../protocol/errors.ts';
import { bytesPerElement, isFloatType, narrowFloat32, widenToFloat32 } from './elementTypes.ts';
import { errorCode, readExactly, writeAtomically } from './files.ts';
import { parseSafetensorsHeader } from './safetensorsHeader.ts';
import type { SafetensorsType, TensorLocation } from './types.ts';

/** The limit of the reference implementation; the largest real headers have a few megabytes. */
const maximumHeaderBytes = 100_000_000;

/** What a safetensors file holds; no tensor data is read. */
export interface SafetensorsFile {
  /** The real path: symlinks are resolved. */
  file: string;
  bytes: number;
  /** By name, in the order of the header. */
  tensors: Map<string, TensorLocation>;
  metadata: Record<string, string>;
}

/**
 * Reads and checks the header of a safetensors file.
 *
 * @throws UserError that says what is missing, cut off or inconsistent
 */
export async function readSafetensors(path: string): Promise<SafetensorsFile> {
  const file = await realpath(path).catch((error: unknown) => {
    throw new UserError(
      errorCode(error) === 'ENOENT' ? `${path} is missing.` : `${path} cannot be read: ${messageOf(error)}`,
    );
  });
  const handle = await openForReading(file);
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new UserError(`${path} is not a file.`);
    const text = await readHeaderText(handle, path, stats.size);
    const dataStart = 8 + Buffer.byteLength(text);
    const { entries, metadata } = parseSafetensorsHeader(text, stats.size - dataStart, path);
    const tensors = new Map<string, TensorLocation>();
    for (const { name, dtype, shape, begin, end } of entries) {
      tensors.set(name, { name, dtype, shape, file, offset: dataStart + begin, length: end - begin });
    }
    return { file, bytes: stats.size, tensors, metadata };
  } finally {
    await handle.close();
  }
}

/** Opens a file for reading, with a clear error. */
export async function openForReading(path: string): Promise<FileHandle> {
  return open(path, 'r').catch((error: unknown) => {
    throw new UserError(`${path} cannot be read: ${messageOf(error)}`);
  });
}

async function readHeaderText(handle: FileHandle, path: string, size: number): Promise<string> {
  if (size < 8) throw new UserError(`${path} is incomplete: it has only ${size} bytes. Download it again.`);
  const start = await readExactly(handle, path, 0, Math.min(size, 32));
  if (Buffer.from(start).toString('latin1').startsWith('version https://git-lfs')) {
    throw new UserError(
      `${path} is a git-lfs pointer, not the weights themselves: fetch them with "git lfs pull".`,
    );
  }
  const length = Number(new DataView(start.buffer).getBigUint64(0, true));
  if (length > maximumHeaderBytes || length < 2) {
    throw new UserError(`${path} is not a safetensors file: it claims a header of ${length} bytes.`);
  }
  if (8 + length > size) {
    throw new UserError(
      `${path} is incomplete: its header has ${length} bytes, the file ${size}. Download it again.`,
    );
  }
  const bytes = await readExactly(handle, path, 8, length);
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    if (text.startsWith('{')) return text;
  } catch {
    // Not UTF-8: the same message.
  }
  throw new UserError(`${path} is not a safetensors file: no JSON header follows its first 8 bytes.`);
}

/** A tensor's bytes as they lie in the file. */
export async function readTensorBytes(location: TensorLocation): Promise<Uint8Array<ArrayBuffer>> {
  const handle = await openForReading(location.file);
  try {
    return await readExactly(handle, location.file, location.offset, location.length);
  } finally {
    await handle.close();
  }
}

/**
 * A tensor widened to float32, row-major (its shape is in the location).
 *
 * @throws UserError if its element type is not a float type or the file has changed
 */
export async function readTensor(location: TensorLocation): Promise<Float32Array<ArrayBuffer>> {
  if (!isFloatType(location.dtype)) {
    throw new UserError(
      `Tensor "${location.name}" of ${location.file} has the element type ${location.dtype}; ` +
        'only F32, F16, BF16 and F64 can be read as numbers.',
    );
  }
  return widenToFloat32(await readTensorBytes(location), location.dtype);
}

/** A tensor to write. Float32 values are rounded to `dtype`; bytes are written as they are. */
export interface TensorToWrite {
  name: string;
  dtype: SafetensorsType;
  shape: number[];
  /** The data, or a function that makes it when its turn comes, so that only one tensor is in memory. */
  data: TensorData | (() => TensorData);
}
type TensorData = Float32Array | Uint8Array;

/**
 * Writes a safetensors file, tensor by tensor; a file of that name is replaced only when all is written.
 * As the reference implementation does, tensors with wider elements come first (so all are aligned).
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const ordered = tensors.toSorted((a, b) => bytesPerElement[b.dtype] - bytesPerElement[a.dtype]);
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  let end = 0;
  for (const tensor of ordered) {
    if (Object.hasOwn(header, tensor.name)) throw new Error(`Two tensors are named "${tensor.name}".`);
    const begin = end;
    end += byteLength(tensor);
    header[tensor.name] = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [begin, end] };
  }
  const text = Buffer.from(JSON.stringify(header));
  // Spaces after the JSON bring the data to a multiple of 8 bytes.
  const start = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, ' ');
  start.writeBigUInt64LE(BigInt(start.length - 8));
  text.copy(start, 8);

  await writeAtomically(path, async (handle) => {
    await handle.writeFile(start);
    for (const tensor of ordered) await handle.writeFile(tensorBytes(tensor));
  });
}

function byteLength(tensor: TensorToWrite): number {
  return tensor.shape.reduce((product, size) => product * size, bytesPerElement[tensor.dtype]);
}

function tensorBytes(tensor: TensorToWrite): Uint8Array {
  const data = typeof tensor.data === 'function' ? tensor.data() : tensor.data;
  let bytes: Uint8Array;
  if (data instanceof Uint8Array) bytes = data;
  else if (tensor.dtype === 'F32' || tensor.dtype === 'F16' || tensor.dtype === 'BF16') {
    bytes = narrowFloat32(data, tensor.dtype);
  } else throw new Error(`Tensor "${tensor.name}": float32 values cannot be written as ${tensor.dtype}.`);
  if (bytes.byteLength !== byteLength(tensor)) {
    throw new Error(
      `Tensor "${tensor.name}" of shape [${tensor.shape.join(', ')}] needs ${byteLength(tensor)} bytes, ` +
        `got ${bytes.byteLength}.`,
    );
  }
  return bytes;
}
