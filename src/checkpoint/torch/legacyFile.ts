import type { FileHandle } from 'node:fs/promises';
import { readExactly } from '../files.ts';
import { PickleError, PickleMap, torchTypeBytes } from './pickleValues.ts';
import type { PickleValue, TorchStorage } from './pickleValues.ts';
import { unpickle } from './unpickler.ts';

/** torch/serialization.py: MAGIC_NUMBER and PROTOCOL_VERSION of the form before zip files. */
const magicNumber = 0x1950a86a20f9469cfc6cn;
const protocolVersion = 1001;

export interface LegacyStorages {
  root: PickleValue;
  storages: ReadonlyMap<string, { offset: number; bytes: number }>;
}

/**
 * Reads the pickles of a legacy torch file: magic number, protocol, machine, root value, keys of the storages.
 * The storages follow in the order of their keys, each as a count of its values (int64) and the values.
 *
 * @param head the file's start, with all pickles
 * @param size bytes of the file
 */
export async function openLegacyStorages(
  handle: FileHandle,
  path: string,
  head: Uint8Array,
  size: number,
): Promise<LegacyStorages> {
  const magic = unpickle(head);
  if (magic.value !== magicNumber) throw new PickleError('it is a pickle, but not one of torch.');
  const protocol = unpickle(head, magic.end);
  if (protocol.value !== protocolVersion) throw new PickleError('its torch format version is unknown.');
  const machine = unpickle(head, protocol.end);
  if (!(machine.value instanceof PickleMap) || machine.value.get('little_endian') !== true) {
    throw new PickleError(
      'its numbers are in big-endian order, which is not supported; save it again on a common machine.',
    );
  }
  const used = new Map<string, TorchStorage>();
  const root = unpickle(head, machine.end, (storage) => addStorage(used, storage));
  const keys = unpickle(head, root.end);
  if (!Array.isArray(keys.value)) throw new PickleError('its list of storages is missing.');

  const storages = new Map<string, { offset: number; bytes: number }>();
  let offset = keys.end;
  for (const key of keys.value) {
    const storage = typeof key === 'string' ? used.get(key) : undefined;
    if (!storage || storages.has(storage.key)) {
      throw new PickleError('its list of storages does not match its tensors.');
    }
    if (offset + 8 > size) throw new PickleError('it is cut off; download it again.');
    const count = await readExactly(handle, path, offset, 8);
    const values = new DataView(count.buffer).getBigInt64(0, true);
    if (values !== BigInt(storage.size)) {
      throw new PickleError(`its storage ${storage.key} holds ${values} values instead of ${storage.size}.`);
    }
    const bytes = storage.size * (storage.type ? torchTypeBytes[storage.type] : 1);
    storages.set(storage.key, { offset: offset + 8, bytes });
    offset += 8 + bytes;
    if (offset > size) throw new PickleError('it is cut off; download it again.');
  }
  if (offset !== size) throw new PickleError(`${size - offset} bytes follow its last storage.`);
  return { root: root.value, storages };
}

/** Tensors may share a storage, but must agree on it. */
function addStorage(used: Map<string, TorchStorage>, storage: TorchStorage): void {
  const known = used.get(storage.key);
  if (known && (known.type !== storage.type || known.size !== storage.size)) {
    throw new PickleError(`its tensors disagree on the storage ${storage.key}.`);
  }
  used.set(storage.key, storage);
}
