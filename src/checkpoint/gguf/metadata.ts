/** The key-value part of a GGUF header: read with checks, asked for by key and expected type. */
import { UserError } from '../../protocol/errors.ts';
import { quoted } from '../quotedText.ts';
import type { HeaderReader } from './headerReader.ts';

/** Types of values in the order of their numbers in the file, with the bytes of one. */
const valueTypes = [
  ['uint8', 1],
  ['int8', 1],
  ['uint16', 2],
  ['int16', 2],
  ['uint32', 4],
  ['int32', 4],
  ['float32', 4],
  ['bool', 1],
  ['string', 0],
  ['array', 0],
  ['uint64', 8],
  ['int64', 8],
  ['float64', 8],
] as const;
type ValueType = (typeof valueTypes)[number][0];
type ScalarType = Exclude<ValueType, 'string' | 'array'>;

type Value =
  | { type: ScalarType | 'string'; value: number | bigint | boolean | string }
  | { type: 'array'; of: ScalarType | 'string'; length: number; bytes: Uint8Array<ArrayBuffer> | undefined };

export type NumberArray =
  Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array | Float64Array;

/** More keys than any file has; the longest key that the format allows. */
const maximumKeys = 65536;
const maximumKeyBytes = 65535;

/** More texts than the vocabulary (262,145) or the merges (514,906) of any model have. */
const maximumTexts = 2 ** 19;

/** Longer arrays (vocabularies) are left out where arrays are not asked for. */
const shortArrayBytes = 16 * 1024;

/** Metadata by key. Every method throws a UserError that names the file and the key. */
export class GgufMetadata {
  /** The file, for messages. */
  readonly path: string;
  readonly #values: ReadonlyMap<string, Value>;

  constructor(path: string, values: ReadonlyMap<string, Value>) {
    this.path = path;
    this.#values = values;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  keys(): string[] {
    return [...this.#values.keys()];
  }

  isList(key: string): boolean {
    return this.#values.get(key)?.type === 'array';
  }

  /** Whether there is a list at the key that was left out when the file was opened. */
  isLeftOut(key: string): boolean {
    const value = this.#values.get(key);
    return value?.type === 'array' && value.bytes === undefined;
  }

  /** The same with these texts and numbers where nothing stands, and with lists of at most `most` values at these keys. */
  completed(
    added: Readonly<Record<string, string | number>>,
    cutLists: readonly string[],
    most: number,
  ): GgufMetadata {
    const values = new Map(this.#values);
    for (const [key, value] of Object.entries(added)) {
      const type = typeof value === 'string' ? 'string' : 'float32';
      if (!values.has(key)) values.set(key, { type, value });
    }
    for (const key of cutLists) {
      const list = values.get(key);
      if (list?.type === 'array' && list.length > most)
        values.set(key, { ...list, length: most, ...cut(list, most) });
    }
    return new GgufMetadata(this.path, values);
  }

  /** Says what stands at the key and what should. */
  error(key: string, expected: string): UserError {
    const value = this.#values.get(key);
    let found = `${quoted(key)} is missing`;
    if (value?.type === 'array') {
      found = `${quoted(key)} is a list of ${value.length} values of type ${value.of}`;
    } else if (value?.type === 'string') {
      found = `${quoted(key)} is the text ${quoted(String(value.value))}`;
    } else if (value) found = `${quoted(key)} is ${String(value.value)} (${value.type})`;
    return new UserError(`${this.path}: ${found}; expected ${expected}.`);
  }

  string(key: string): string;
  string<Fallback>(key: string, fallback: Fallback): string | Fallback;
  string<Fallback>(key: string, ...fallback: [] | [Fallback]): string | Fallback {
    const value = this.#values.get(key);
    if (!value && fallback.length > 0) return fallback[0] as Fallback;
    if (value?.type !== 'string') throw this.error(key, 'a text');
    return value.value as string;
  }

  /** A whole number, of any of the integer types. */
  integer(key: string): number;
  integer<Fallback>(key: string, fallback: Fallback): number | Fallback;
  integer<Fallback>(key: string, ...fallback: [] | [Fallback]): number | Fallback {
    const value = this.#values.get(key);
    if (!value && fallback.length > 0) return fallback[0] as Fallback;
    if (value && value.type !== 'array' && /^u?int/.test(value.type)) {
      const number = Number(value.value);
      if (Number.isSafeInteger(number)) return number;
    }
    throw this.error(key, 'a whole number');
  }

  /** A whole number from `least` to `most`. */
  integerIn(key: string, least: number, most: number): number;
  integerIn<Fallback>(key: string, least: number, most: number, fallback: Fallback): number | Fallback;
  integerIn<Fallback>(
    key: string,
    least: number,
    most: number,
    ...fallback: [] | [Fallback]
  ): number | Fallback {
    if (fallback.length > 0 && !this.has(key)) return fallback[0] as Fallback;
    const number = this.integer(key);
    if (number < least || number > most) throw this.error(key, `a whole number from ${least} to ${most}`);
    return number;
  }

  /** A finite number, of any of the number types. */
  number(key: string): number;
  number<Fallback>(key: string, fallback: Fallback): number | Fallback;
  number<Fallback>(key: string, ...fallback: [] | [Fallback]): number | Fallback {
    const value = this.#values.get(key);
    if (!value && fallback.length > 0) return fallback[0] as Fallback;
    if (value && value.type !== 'array' && value.type !== 'string' && value.type !== 'bool') {
      const number = Number(value.value);
      if (Number.isFinite(number)) return number;
    }
    throw this.error(key, 'a number');
  }

  boolean(key: string): boolean;
  boolean<Fallback>(key: string, fallback: Fallback): boolean | Fallback;
  boolean<Fallback>(key: string, ...fallback: [] | [Fallback]): boolean | Fallback {
    const value = this.#values.get(key);
    if (!value && fallback.length > 0) return fallback[0] as Fallback;
    if (value?.type !== 'bool') throw this.error(key, 'true or false');
    return value.value as boolean;
  }

  /** How many values the list at a key has, without reading them; undefined if there is no such key. */
  lengthOf(key: string): number | undefined {
    const value = this.#values.get(key);
    if (value && value.type !== 'array') throw this.error(key, 'a list');
    return value?.length;
  }

  #array(key: string, expected: string, fits: (of: ScalarType | 'string') => boolean): Value | undefined {
    const value = this.#values.get(key);
    if (!value) return undefined;
    if (value.type !== 'array' || !fits(value.of)) throw this.error(key, expected);
    if (!value.bytes) throw new Error(`${this.path} was opened without its long lists; ${key} is one.`);
    return value;
  }

  /** A list of texts (bytes that are no UTF-8 become U+FFFD); undefined if there is no such key. */
  strings(key: string): string[] | undefined {
    const value = this.#array(key, 'a list of texts', (of) => of === 'string');
    if (value?.type !== 'array') return undefined;
    const bytes = Buffer.from(value.bytes!.buffer);
    const texts = new Array<string>(value.length);
    let position = 0;
    for (let i = 0; i < value.length; i++) {
      const start = position + 8;
      position = start + bytes.readUInt32LE(position); // the upper half is 0: all lies inside the header
      texts[i] = bytes.toString('utf8', start, position);
    }
    return texts;
  }

  /** A list of numbers (64-bit integers as float64, truth values as 0 and 1); undefined if there is no such key. */
  numbers(key: string): NumberArray | undefined {
    const value = this.#array(key, 'a list of numbers', (of) => of !== 'string');
    if (value?.type !== 'array') return undefined;
    const { buffer } = value.bytes!;
    switch (value.of as ScalarType) {
      case 'uint8':
      case 'bool':
        return new Uint8Array(buffer);
      case 'int8':
        return new Int8Array(buffer);
      case 'uint16':
        return new Uint16Array(buffer);
      case 'int16':
        return new Int16Array(buffer);
      case 'uint32':
        return new Uint32Array(buffer);
      case 'int32':
        return new Int32Array(buffer);
      case 'float32':
        return new Float32Array(buffer);
      case 'float64':
        return new Float64Array(buffer);
      case 'uint64':
        return Float64Array.from(new BigUint64Array(buffer), Number);
      case 'int64':
        return Float64Array.from(new BigInt64Array(buffer), Number);
    }
  }
}

/** The bytes of the first `most` values; texts need not be cut, they are read one by one. */
function cut(
  { of, bytes }: Value & { type: 'array' },
  most: number,
): { bytes: Uint8Array<ArrayBuffer> | undefined } {
  return { bytes: of === 'string' ? bytes : bytes?.slice(0, most * widthOf(of)) };
}

function widthOf(type: ValueType): number {
  return valueTypes.find(([name]) => name === type)![1];
}

/**
 * Reads `count` entries.
 *
 * @param arrays false: long lists are checked and left out
 * @throws UserError that names the key and what is wrong
 */
export function readMetadata(reader: HeaderReader, count: number, arrays: boolean): GgufMetadata {
  if (count > maximumKeys) {
    throw reader.error(`it claims ${count} metadata entries; at most ${maximumKeys} are read`);
  }
  const values = new Map<string, Value>();
  for (let index = 0; index < count; index++) {
    reader.within = `metadata entry ${index + 1} of ${count}`;
    const key = reader.name(maximumKeyBytes);
    if (values.has(key)) throw reader.error(`the metadata key ${quoted(key)} is there twice`);
    reader.within = `the value of ${quoted(key)}`;
    values.set(key, readValue(reader, key, arrays));
  }
  return new GgufMetadata(reader.path, values);
}

function readValue(reader: HeaderReader, key: string, arrays: boolean): Value {
  const type = readType(reader, key);
  if (type === 'array') return readArray(reader, key, arrays);
  if (type === 'string') return { type, value: reader.text() };
  if (type !== 'bool') return { type, value: reader[type]() };
  const byte = reader.uint8();
  if (byte > 1) throw reader.error(`${quoted(key)} is a truth value of ${byte}; only 0 and 1 are`);
  return { type, value: byte === 1 };
}

function readType(reader: HeaderReader, key: string): ValueType {
  const number = reader.uint32();
  const type = valueTypes[number];
  if (!type) throw reader.error(`${quoted(key)} has the unknown type of value ${number}`);
  return type[0];
}

function readArray(reader: HeaderReader, key: string, arrays: boolean): Value {
  const of = readType(reader, key);
  if (of === 'array') throw reader.error(`${quoted(key)} is a list of lists, which no model needs`);
  const length = reader.count();
  const width = widthOf(of);
  const start = reader.position;
  reader.require(length * (width || 8));
  if (of === 'string' && length > maximumTexts) {
    throw reader.error(`${quoted(key)} is a list of ${length} texts; at most ${maximumTexts} are read`);
  }
  if (of === 'string') for (let i = 0; i < length; i++) reader.skip(reader.count());
  else reader.skip(length * width);
  const end = reader.position;
  if (!arrays && end - start > shortArrayBytes) return { type: 'array', of, length, bytes: undefined };
  reader.position = start;
  return { type: 'array', of, length, bytes: reader.bytes(end - start) };
}
