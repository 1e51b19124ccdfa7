import { realpath } from 'node:fs/promises';
import { messageOf, UserError } from '../../protocol/errors.ts';
import { isFloatType, widenToFloat32 } from '../elementTypes.ts';
import type { FloatType } from '../elementTypes.ts';
import { refuseOtherKinds } from '../fileKinds.ts';
import { readExactly } from '../files.ts';
import { openForReading } from '../safetensors.ts';
import { openLegacyStorages } from './legacyFile.ts';
import { PickleError, PickleMap, PickleTuple, TorchTensor, torchTypeBytes } from './pickleValues.ts';
import type { PickleValue, TorchStorage } from './pickleValues.ts';
import { describe } from './torchGlobals.ts';
import { unpickle } from './unpickler.ts';
import { ZipArchive } from './zipArchive.ts';

/** Largest pickle that is read; that of a model with thousands of tensors has some hundred kilobytes. */
const maximumPickleBytes = 32 * 1024 * 1024;

/** Largest storage that is read into memory. */
const maximumStorageBytes = 2 ** 31;

/** Largest extra record (metadata) that is read. */
const maximumExtraBytes = 1024 * 1024;

/** How deep tensors may lie in dicts and lists. */
const maximumDepth = 32;

/** How the pickle of a number starts, by protocol: PROTO, or the text of an integer. */
const pickleStarts: readonly number[] = [0x80, 0x4c, 0x49];

/** A file's root value and access to its storages: the two forms of torch files differ in these only. */
export interface TorchContent {
  root: PickleValue;
  /** Bytes of a storage, or undefined if the file lacks it. */
  storageBytes: (key: string) => number | undefined;
  readStorage: (key: string) => Promise<Uint8Array>;
  /** Text of the record `extra/NAME` of a zip file. */
  readExtra?: (name: string) => Promise<string | undefined>;
  close: () => Promise<void> | void;
}

/** The short names that safetensors uses. */
const shortNames: Readonly<Record<string, FloatType>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
};

/** The element type of a tensor as safetensors names it, or undefined for what does not widen to float32. */
export function floatTypeOf(tensor: TorchTensor): FloatType | undefined {
  return shortNames[tensor.type];
}

/**
 * A torch file (`torch.save`), in its zip form or the legacy form of versions before 1.6. The pickle inside is read
 * by a restricted machine that can make tensors, dicts, lists, texts and numbers, and nothing else.
 */
export class TorchFile {
  readonly path: string;
  readonly format: 'zip' | 'legacy';
  /** All tensors by their path in dicts and lists (`embedding.weight`); a lone tensor has the empty name. */
  readonly tensors: ReadonlyMap<string, TorchTensor>;
  /** What the file's root is, for messages. */
  readonly rootDescription: string;
  readonly #content: TorchContent;

  private constructor(path: string, format: 'zip' | 'legacy', content: TorchContent) {
    this.path = path;
    this.format = format;
    this.tensors = collectTensors(content.root);
    this.rootDescription = describe(content.root);
    this.#content = content;
    for (const tensor of this.tensors.values()) checkStorage(tensor.storage, content);
  }

  /**
   * Opens a file and checks that every tensor's storage is there in full; dispose of it to close the file.
   *
   * @throws UserError, one sentence, for anything that is no sound torch file
   */
  static async open(path: string): Promise<TorchFile> {
    let content: TorchContent | undefined;
    try {
      const isZip = await startsAsZip(path);
      content = isZip ? await openZip(path) : await openLegacy(path);
      return new TorchFile(path, isZip ? 'zip' : 'legacy', content);
    } catch (error) {
      await content?.close();
      throw named(path, error);
    }
  }

  /**
   * The values of one of this file's tensors as float32, row-major whatever its strides.
   *
   * @throws UserError if its element type is not a float type or its storage cannot be read
   */
  async read(tensor: TorchTensor): Promise<Float32Array<ArrayBuffer>> {
    const type = floatTypeOf(tensor);
    if (!type || !isFloatType(type)) {
      throw new UserError(
        `${this.path}: its tensor has the type ${tensor.type}; expected float32, float16, bfloat16 or float64.`,
      );
    }
    try {
      const bytes = await this.#content.readStorage(tensor.storage.key);
      return rowMajor(widenToFloat32(bytes, type), tensor);
    } catch (error) {
      throw named(this.path, error);
    }
  }

  /** The text of an extra record that torch ignores, if the file has it. */
  async readExtra(name: string): Promise<string | undefined> {
    return this.#content.readExtra?.(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#content.close();
  }
}

function named(path: string, error: unknown): Error {
  if (error instanceof PickleError) return new UserError(`${path} cannot be read: ${error.message}`);
  return error instanceof Error ? error : new Error(String(error));
}

async function startsAsZip(path: string): Promise<boolean> {
  await realpath(path).catch((error: unknown) => {
    throw new UserError(`${path} cannot be read: ${messageOf(error)}.`);
  });
  const handle = await openForReading(path);
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new UserError(`${path} is not a file.`);
    if (stats.size === 0) throw new PickleError('it is empty; download it again.');
    const start = await readExactly(handle, path, 0, Math.min(64, stats.size));
    refuseOtherKinds(path, start);
    const isZip = Buffer.from(start).toString('latin1').startsWith('PK\x03\x04');
    if (!isZip && !pickleStarts.includes(start[0]!)) {
      throw new PickleError('it is not a torch file; expected what torch.save writes, or safetensors.');
    }
    return isZip;
  } finally {
    await handle.close();
  }
}

async function openZip(path: string): Promise<TorchContent> {
  const archive = await ZipArchive.open(path);
  try {
    if (archive.has('byteorder')) {
      const order = (await archive.read('byteorder', 64)).toString('latin1').trim();
      if (order !== 'little') {
        throw new PickleError(
          'its numbers are in big-endian order, which is not supported; save it again on a common machine.',
        );
      }
    }
    const pickle = await archive.read('data.pkl', maximumPickleBytes);
    const { value, end } = unpickle(pickle);
    if (end !== pickle.length) throw new PickleError('bytes follow its pickle.');
    return {
      root: value,
      storageBytes: (key) => (archive.has(`data/${key}`) ? archive.size(`data/${key}`) : undefined),
      readStorage: (key) => archive.read(`data/${key}`, maximumStorageBytes),
      readExtra: async (name) =>
        archive.has(`extra/${name}`)
          ? (await archive.read(`extra/${name}`, maximumExtraBytes)).toString('utf8')
          : undefined,
      close: () => archive.close(),
    };
  } catch (error) {
    archive.close();
    throw error;
  }
}

async function openLegacy(path: string): Promise<TorchContent> {
  const handle = await openForReading(path);
  try {
    const { size } = await handle.stat();
    const head = await readExactly(handle, path, 0, Math.min(size, maximumPickleBytes));
    const { root, storages } = await openLegacyStorages(handle, path, head, size);
    return {
      root,
      storageBytes: (key) => storages.get(key)?.bytes,
      readStorage: (key) => {
        const { offset, bytes } = storages.get(key)!;
        return readExactly(handle, path, offset, bytes);
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function checkStorage(storage: TorchStorage, content: TorchContent): void {
  const expected = storage.size * (storage.type ? torchTypeBytes[storage.type] : 1);
  const found = content.storageBytes(storage.key);
  if (found === undefined) throw new PickleError(`the data of its storage ${storage.key} is missing.`);
  if (found !== expected) {
    throw new PickleError(
      `its storage ${storage.key} should hold ${storage.size} values (${expected} bytes), but has ${found} bytes.`,
    );
  }
  if (expected > maximumStorageBytes)
    throw new PickleError(`its storage ${storage.key} has ${expected} bytes.`);
}

/** The tensors in nested dicts, lists and tuples; each container is visited once, so shared ones cost nothing. */
function collectTensors(root: PickleValue): Map<string, TorchTensor> {
  const tensors = new Map<string, TorchTensor>();
  const visited = new Set<PickleValue>();
  const visit = (value: PickleValue, name: string, depth: number): void => {
    if (value instanceof TorchTensor) {
      // {'a.b': …} and {'a': {'b': …}} would share a name.
      let unique = name;
      while (tensors.has(unique)) unique += "'";
      tensors.set(unique, value);
      return;
    }
    const isContainer = value instanceof PickleMap || value instanceof PickleTuple || Array.isArray(value);
    if (!isContainer || visited.has(value)) return;
    visited.add(value);
    if (depth > maximumDepth) throw new PickleError('it nests its values deeper than any file of tensors.');
    const entries: Iterable<readonly [PickleValue, PickleValue]> =
      value instanceof PickleMap ? value : (value instanceof PickleTuple ? value.items : value).entries();
    for (const [key, item] of entries) {
      const part = typeof key === 'string' || typeof key === 'number' ? String(key) : '?';
      visit(item, name === '' ? part : `${name}.${part}`, depth + 1);
    }
  };
  visit(root, '', 0);
  return tensors;
}

/** A view's values in row-major order. */
function rowMajor(values: Float32Array<ArrayBuffer>, tensor: TorchTensor): Float32Array<ArrayBuffer> {
  const { offset, shape, strides } = tensor;
  const count = shape.reduce((product, size) => product * size, 1);
  if (isContiguous(shape, strides)) return values.slice(offset, offset + count);
  const result = new Float32Array(count);
  if (count === 0) return result;
  const index = shape.map(() => 0);
  let source = offset;
  for (let target = 0; target < count; target++) {
    result[target] = values[source]!;
    // Counts up like an odometer, last dimension fastest.
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      source += strides[axis]!;
      if (index[axis]! < shape[axis]!) break;
      source -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}
