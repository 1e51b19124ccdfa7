import type { SafetensorsType, WeightType } from './types.ts';

/** Bytes of one element of each type that the safetensors format names. */
export const bytesPerElement: Readonly<Record<SafetensorsType, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
};

/** Whether a word from a file names an element type of the safetensors format. */
export function isSafetensorsType(word: unknown): word is SafetensorsType {
  return typeof word === 'string' && Object.hasOwn(bytesPerElement, word);
}

/** The types that widen to float32 (float64 is rounded). */
export type FloatType = WeightType | 'F64';

/** Whether values of this type can be read as float32. */
export function isFloatType(type: string): type is FloatType {
  return type === 'F32' || type === 'F16' || type === 'BF16' || type === 'F64';
}

/** Made on first use (256 KB). */
let float16Values: Float32Array | undefined;

/** The float32 value of every float16 bit pattern. */
export function float16Table(): Float32Array {
  if (float16Values) return float16Values;
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    let value: number;
    if (exponent === 0) value = fraction * 2 ** -24;
    else if (exponent === 31) value = fraction === 0 ? Infinity : NaN;
    else value = (1 + fraction / 1024) * 2 ** (exponent - 15);
    table[bits] = sign * value;
  }
  return (float16Values = table);
}

/** A copy of the bytes whose buffer starts at an address that typed arrays can view. */
function aligned(bytes: Uint8Array): ArrayBuffer {
  const copy = new ArrayBuffer(bytes.byteLength);
  new Uint8Array(copy).set(bytes);
  return copy;
}

/**
 * Little-endian elements of a float type as float32. float16 and bfloat16 widen exactly; float64 is rounded.
 *
 * @param bytes a whole number of elements; never modified, may be viewed by the result
 */
export function widenToFloat32(bytes: Uint8Array, type: FloatType): Float32Array<ArrayBuffer> {
  const width = bytesPerElement[type];
  const count = bytes.byteLength / width;
  const viewable = bytes.byteOffset % width === 0 && bytes.buffer instanceof ArrayBuffer;
  const buffer = viewable ? bytes.buffer : aligned(bytes);
  const start = viewable ? bytes.byteOffset : 0;
  if (type === 'F32') return new Float32Array(buffer, start, count);
  if (type === 'F64') return Float32Array.from(new Float64Array(buffer, start, count));
  const halves = new Uint16Array(buffer, start, count);
  if (type === 'BF16') {
    // bfloat16 is the upper half of a float32.
    const bits = new Uint32Array(count);
    for (let i = 0; i < count; i++) bits[i] = halves[i]! << 16;
    return new Float32Array(bits.buffer);
  }
  const table = float16Table();
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = table[halves[i]!]!;
  return values;
}

/** Float32 values rounded (to nearest, ties to even) to little-endian elements of a weight type. */
export function narrowFloat32(values: Float32Array, type: WeightType): Uint8Array {
  if (type === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const narrow = type === 'BF16' ? bfloat16Bits : float16Bits;
  const bits = new Uint32Array(aligned(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)));
  const halves = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) halves[i] = narrow(bits[i]!);
  return new Uint8Array(halves.buffer);
}

function bfloat16Bits(bits: number): number {
  // A NaN keeps its sign and stays a NaN; rounding could carry it into infinity.
  if ((bits & 0x7fffffff) > 0x7f800000) return ((bits >>> 16) | 0x40) & 0xffff;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

function float16Bits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00; // 65536 and more; 65520..65535 carry into infinity below
  if (magnitude < 0x38800000) {
    // Below the smallest normal float16: count multiples of 2^-24, which Math.round would round half up.
    const exponent = magnitude >>> 23;
    if (exponent < 102) return sign;
    const significand = (magnitude & 0x7fffff) | 0x800000;
    return sign | roundShift(significand, 126 - exponent);
  }
  return sign | roundShift(magnitude - 0x38000000, 13);
}

/** value / 2^shift, to nearest, ties to even. */
function roundShift(value: number, shift: number): number {
  const quotient = value >>> shift;
  const rest = value - quotient * 2 ** shift;
  const half = 2 ** (shift - 1);
  return rest > half || (rest === half && quotient % 2 === 1) ? quotient + 1 : quotient;
}
