import {
  PickleError,
  PickleGlobal,
  PickleMap,
  PickleTuple,
  TorchStorage,
  TorchTensor,
} from './pickleValues.ts';
import type { PickleValue, TorchType } from './pickleValues.ts';
import { torchTypeBytes } from './pickleValues.ts';

/** Dimensions of a tensor; real ones have up to five. */
const maximumRank = 8;

const storageTypes: Readonly<Record<string, TorchType>> = {
  'torch.DoubleStorage': 'float64',
  'torch.FloatStorage': 'float32',
  'torch.HalfStorage': 'float16',
  'torch.BFloat16Storage': 'bfloat16',
  'torch.LongStorage': 'int64',
  'torch.IntStorage': 'int32',
  'torch.ShortStorage': 'int16',
  'torch.CharStorage': 'int8',
  'torch.ByteStorage': 'uint8',
  'torch.BoolStorage': 'bool',
  'torch.ComplexFloatStorage': 'complex64',
  'torch.ComplexDoubleStorage': 'complex128',
};

const untypedStorage = 'torch.storage.UntypedStorage';

/** What a call of an allowed name makes. `call` sees checked data only and returns data only. */
const callables: Readonly<Record<string, (args: readonly PickleValue[]) => PickleValue>> = {
  'collections.OrderedDict': orderedDict,
  'torch._utils._rebuild_tensor': rebuildTensor,
  'torch._utils._rebuild_tensor_v2': rebuildTensor,
  'torch._utils._rebuild_tensor_v3': (args) => rebuildTensor(args, dtypeOf(args[6])),
  'torch._utils._rebuild_parameter': ([data]) => tensorOf(data),
  'torch._utils._rebuild_parameter_with_state': ([data]) => tensorOf(data),
  'torch._tensor._rebuild_from_type_v2': rebuildFromType,
  'torch.Size': ([sizes]) => new PickleTuple(sequence(sizes, 'torch.Size')),
  'torch.device': () => null,
};

/** Names that are data by themselves. */
const constants = new Set<string>([
  ...Object.keys(storageTypes),
  ...Object.keys(torchTypeBytes).map((type) => `torch.${type}`),
  untypedStorage,
  'torch.Tensor',
  'torch.nn.parameter.Parameter',
]);

/**
 * The value of a module's name, if it is on the allow-list.
 *
 * @throws PickleError for every other name
 */
export function resolveGlobal(module: string, name: string): PickleGlobal {
  const full = `${module}.${name}`;
  if (constants.has(full) || Object.hasOwn(callables, full)) return new PickleGlobal(full);
  if (full.startsWith('torch._utils._rebuild_') || full === 'torch.serialization._get_layout') {
    throw new PickleError(
      `it holds a tensor of an unsupported kind (${printable(full)}); only dense tensors of numbers can be read.`,
    );
  }
  throw new PickleError(
    `it asks for ${printable(full)}, which a file of tensors never needs: such a file can run code in Python ` +
      '(nothing of it was run here).',
  );
}

/** Calls an allowed name. */
export function callGlobal(callee: PickleValue, args: PickleValue): PickleValue {
  if (!(callee instanceof PickleGlobal) || !Object.hasOwn(callables, callee.name)) {
    throw new PickleError(`it calls ${describe(callee)}, which is not allowed.`);
  }
  if (!(args instanceof PickleTuple))
    throw new PickleError(`it calls ${callee.name} without a tuple of arguments.`);
  return callables[callee.name]!(args.items);
}

/** The storage that a persistent id names: ('storage', type, key, location, size[, view]). */
export function resolvePersistentId(id: PickleValue): TorchStorage {
  const [word, kind, key, , size, view] = id instanceof PickleTuple ? id.items : [];
  if (word !== 'storage' || !(kind instanceof PickleGlobal) || typeof key !== 'string') {
    throw new PickleError('it refers to something that is not a tensor storage.');
  }
  if (!Object.hasOwn(storageTypes, kind.name) && kind.name !== untypedStorage) {
    throw new PickleError(`it has a storage of the unsupported type ${printable(kind.name)}.`);
  }
  if ((view ?? null) !== null)
    throw new PickleError('it has a view of a storage, a form that only very old torch wrote.');
  // The key becomes the name of a record.
  if (!/^\w{1,64}$/.test(key)) throw new PickleError(`it has the impossible storage key ${printable(key)}.`);
  return new TorchStorage(key, storageTypes[kind.name], count(size, 'storage size'));
}

/** _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks, …) */
function rebuildTensor(args: readonly PickleValue[], dtype?: TorchType): TorchTensor {
  const [storage] = args;
  if (!(storage instanceof TorchStorage)) throw new PickleError('it has a tensor without a storage.');
  const type = dtype ?? storage.type;
  if (!type) throw new PickleError('it has a tensor without an element type.');
  const offset = count(args[1], 'storage offset');
  const sizes = sequence(args[2], 'shape');
  const steps = sequence(args[3], 'strides');
  if (sizes.length !== steps.length || sizes.length > maximumRank) {
    throw new PickleError(`it has a tensor with ${sizes.length} sizes and ${steps.length} strides.`);
  }
  const shape = sizes.map((size) => count(size, 'tensor size'));
  const strides = steps.map((stride) => count(stride, 'stride'));
  const stored = storage.type ? storage.size : Math.floor(storage.size / torchTypeBytes[type]);
  checkInside(offset, shape, strides, stored);
  return new TorchTensor(storage, type, offset, shape, strides);
}

/** Every element must lie in the storage, and a tensor may not have more elements than it (stride 0 could). */
function checkInside(
  offset: number,
  shape: readonly number[],
  strides: readonly number[],
  stored: number,
): void {
  const elements = shape.reduce((product, size) => product * size, 1);
  if (elements === 0) return;
  const last = shape.reduce((index, size, i) => index + (size - 1) * strides[i]!, offset);
  if (last >= stored || elements > stored) {
    throw new PickleError(
      `it has a tensor of shape [${shape.join(', ')}] (strides [${strides.join(', ')}], offset ${offset}) ` +
        `over a storage of ${stored} values, which is too small for it.`,
    );
  }
}

/** _rebuild_from_type_v2(function, type, arguments, state): tensors with Python attributes, which are dropped. */
function rebuildFromType([callee, , args]: readonly PickleValue[]): PickleValue {
  // One level only: a chain of itself would recurse.
  if (callee instanceof PickleGlobal && callee.name.startsWith('torch._utils._rebuild_')) {
    return tensorOf(callGlobal(callee, args ?? null));
  }
  throw new PickleError('it rebuilds something that is not a tensor.');
}

/** Torch fills dicts after making them; refusing a list here keeps repeated calls from copying it. */
function orderedDict(args: readonly PickleValue[]): PickleMap {
  if (args.length > 0) throw new PickleError('it makes an OrderedDict in a way that torch does not.');
  return new PickleMap();
}

function tensorOf(value: PickleValue | undefined): TorchTensor {
  if (value instanceof TorchTensor) return value;
  throw new PickleError('it has a parameter that is not a tensor.');
}

function dtypeOf(value: PickleValue | undefined): TorchType {
  const word = value instanceof PickleGlobal ? value.name.replace('torch.', '') : '';
  if (Object.hasOwn(torchTypeBytes, word)) return word as TorchType;
  throw new PickleError('it has a tensor without an element type.');
}

function sequence(value: PickleValue | undefined, what: string): readonly PickleValue[] {
  if (value instanceof PickleTuple) return value.items;
  if (Array.isArray(value)) return value;
  throw new PickleError(`it has a tensor or object whose ${what} is not a list.`);
}

function count(value: PickleValue | undefined, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new PickleError(`it has the impossible ${what} ${describe(value ?? null)}.`);
}

/** A short description of a value for messages. */
export function describe(value: PickleValue): string {
  if (value === null) return 'None';
  if (value instanceof TorchTensor) return `a ${value.type} tensor of shape [${value.shape.join(', ')}]`;
  if (value instanceof PickleMap) return `a dict of ${value.size} entries`;
  if (value instanceof PickleTuple) return `a tuple of ${value.items.length} values`;
  if (value instanceof PickleGlobal) return printable(value.name);
  if (value instanceof TorchStorage) return 'a storage';
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return `a list of ${value.length} values`;
  return typeof value === 'string'
    ? `the text ${printable(value)}`
    : `the number ${String(value).slice(0, 40)}`;
}

/** Text from a file that is safe to print: short, without control characters. */
export function printable(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return short.replace(/[^\x20-\x7e…]/g, '?');
}
