import { UserError } from '../../protocol/errors.ts';

/** What restricted pickles can hold. Everything is plain data: nothing here has behaviour. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | PickleTuple
  | PickleMap
  | PickleGlobal
  | TorchStorage
  | TorchTensor;

/** An immutable sequence; kept apart from lists because function arguments must be one. */
export class PickleTuple {
  readonly items: readonly PickleValue[];
  constructor(items: readonly PickleValue[]) {
    this.items = items;
  }
}

/** A dict or OrderedDict. */
export class PickleMap extends Map<PickleValue, PickleValue> {}

/** A name from the allow-list. It is a name and stays one: nothing is ever imported. */
export class PickleGlobal {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** A flat array of numbers, kept beside the pickle under `key`. */
export class TorchStorage {
  readonly key: string;
  /** As torch names it, such as `float32`; absent for untyped storages, whose size is in bytes. */
  readonly type: TorchType | undefined;
  readonly size: number;
  constructor(key: string, type: TorchType | undefined, size: number) {
    this.key = key;
    this.type = type;
    this.size = size;
  }
}

/** A view of a storage; offset, shape and strides count elements and have been checked against the storage. */
export class TorchTensor {
  readonly storage: TorchStorage;
  readonly type: TorchType;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  constructor(
    storage: TorchStorage,
    type: TorchType,
    offset: number,
    shape: readonly number[],
    strides: readonly number[],
  ) {
    this.storage = storage;
    this.type = type;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

/** Bytes of an element of each of torch's types. */
export const torchTypeBytes = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  float8_e4m3fn: 1,
  float8_e5m2: 1,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  uint16: 2,
  uint32: 4,
  uint64: 8,
  bool: 1,
  complex64: 8,
  complex128: 16,
} as const;
export type TorchType = keyof typeof torchTypeBytes;

/** A pickle that is broken, hostile or holds what is not supported. The reader puts the file's name in front. */
export class PickleError extends UserError {}
