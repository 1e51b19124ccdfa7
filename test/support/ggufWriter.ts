/** Writes GGUF files for tests: sound ones, and such as no program should write. */
import { writeFileSync } from 'node:fs';

/** Types of metadata values by their numbers in the file. */
const valueTypes = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const;
type ValueType = keyof typeof valueTypes;

/** A value with its type; a list has the type of its elements behind it. */
export type MetadataValue =
  | [type: Exclude<ValueType, 'array'>, value: number | bigint | string | boolean]
  | [type: 'array', of: Exclude<ValueType, 'array'>, values: readonly (number | bigint | string | boolean)[]]
  /** Bytes as they are to stand behind the key (the type's number first). */
  | Buffer;

export interface TensorEntry {
  name: string;
  /** As in the file: columns first. */
  dimensions: readonly (number | bigint)[];
  /** ggml's number of the type; 0, float32, if absent. */
  type?: number;
  /** Where it claims to lie; absent: behind the tensor before it. */
  offset?: number | bigint;
  data: Uint8Array;
}

export interface GgufContent {
  version?: number;
  metadata?: readonly (readonly [key: string, value: MetadataValue])[];
  tensors?: readonly TensorEntry[];
  alignment?: number;
  /** Counts to claim instead of the true ones. */
  tensorCount?: bigint;
  keyCount?: bigint;
}

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
export const uint64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
export const text = (value: string): Buffer =>
  Buffer.concat([uint64(Buffer.byteLength(value)), Buffer.from(value)]);

function scalar(type: Exclude<ValueType, 'array'>, value: number | bigint | string | boolean): Buffer {
  if (type === 'string') return text(String(value));
  const bytes = new DataView(new ArrayBuffer(8));
  const number = Number(value);
  const width =
    { uint8: 1, int8: 1, bool: 1, uint16: 2, int16: 2 }[type as string] ?? (type.endsWith('64') ? 8 : 4);
  if (type === 'float32') bytes.setFloat32(0, number, true);
  else if (type === 'float64') bytes.setFloat64(0, number, true);
  else bytes.setBigInt64(0, BigInt.asIntN(64, BigInt(value)), true);
  return Buffer.from(bytes.buffer, 0, width);
}

function metadataValue(value: MetadataValue): Buffer {
  if (Buffer.isBuffer(value)) return value;
  if (value[0] !== 'array') return Buffer.concat([uint32(valueTypes[value[0]]), scalar(value[0], value[1])]);
  const [, of, values] = value;
  return Buffer.concat([
    ...[uint32(valueTypes.array), uint32(valueTypes[of]), uint64(values.length)],
    ...values.map((element) => scalar(of, element)),
  ]);
}

/** The bytes of a file. */
export function ggufBytes(content: GgufContent): Buffer {
  const { version = 3, metadata = [], tensors = [], alignment = 32, tensorCount, keyCount } = content;
  const parts: Buffer[] = [
    ...[Buffer.from('GGUF'), uint32(version)],
    ...[uint64(tensorCount ?? tensors.length), uint64(keyCount ?? metadata.length)],
  ];
  for (const [key, value] of metadata) parts.push(text(key), metadataValue(value));
  let end = 0;
  const data: Buffer[] = [];
  for (const { name, dimensions, type = 0, offset, data: bytes } of tensors) {
    parts.push(
      text(name),
      uint32(dimensions.length),
      ...dimensions.map(uint64),
      uint32(type),
      uint64(offset ?? end),
    );
    const padded = Buffer.alloc(Math.ceil(bytes.length / alignment) * alignment);
    padded.set(bytes);
    data.push(padded);
    end += padded.length;
  }
  const header = Buffer.concat(parts);
  const padding = Buffer.alloc(Math.ceil(header.length / alignment) * alignment - header.length);
  return Buffer.concat([header, padding, ...data]);
}

export function writeGguf(path: string, content: GgufContent): void {
  writeFileSync(path, ggufBytes(content));
}

export const float32Bytes = (values: Float32Array | readonly number[]): Uint8Array =>
  new Uint8Array(Float32Array.from(values).buffer);
