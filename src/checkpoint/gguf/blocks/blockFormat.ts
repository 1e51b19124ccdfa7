/**
 * What a type of quantised blocks is, and what follows from how its blocks are taken apart: the float32 values, and the
 * form in which MatMulNBits computes with them without loss.
 */

/** How MatMulNBits computes with a type. Every 4-bit layout has at most 16 levels. */
export interface BlockLayout {
  bits: 4 | 8;
  /** Values that share a scale. */
  blockSize: 16 | 32;
  /** Whether something is added to every block's values. */
  mins: boolean;
}

/** Values in the form of a layout: w = scale * (code - 2^(bits - 1)) + min. */
export interface UnpackedBlocks {
  /** One byte each. */
  codes: Uint8Array;
  /** One for `blockSize` values. */
  scales: Float32Array;
  mins?: Float32Array;
}

export interface BlockFormat {
  /** Values of a block. */
  values: number;
  /** Bytes of a block. */
  bytes: number;
  /** All values of whole blocks as float32, bit-equal to gguf-py's dequantisation. */
  dequantize: (bytes: Uint8Array) => Float32Array<ArrayBuffer>;
  /** How MatMulNBits computes with it without loss. */
  layout: BlockLayout;
  /** Whole blocks in the form of the layout. */
  unpack: (bytes: Uint8Array) => UnpackedBlocks;
}

/** What is particular to a type. Its values are float32(scale * (code - zero)) + min. */
export interface BlockKind {
  values: number;
  bytes: number;
  layout: BlockLayout;
  /** The code that stands for 0 (before the min is added). */
  zero: number;
  /** Takes `count` blocks apart: codes (count, values), scales and mins (count, values / blockSize). */
  takeApart: TakeApart;
}

export type TakeApart = (
  bytes: Uint8Array,
  count: number,
  codes: Uint8Array,
  scales: Float32Array,
  mins: Float32Array,
) => void;

/** Values dequantised at a time: their codes stay in the processor's first cache. */
const valuesAtATime = 8192;

export function blockFormat(kind: BlockKind): BlockFormat {
  const { values, bytes: blockBytes, layout, zero, takeApart } = kind;
  const { blockSize, mins: hasMins } = layout;
  const centre = 2 ** (layout.bits - 1);
  const scalesOf = (count: number): Float32Array<ArrayBuffer> =>
    new Float32Array((count * values) / blockSize);
  const countOf = (bytes: Uint8Array): number => {
    const count = bytes.length / blockBytes;
    if (!Number.isInteger(count))
      throw new Error(`${bytes.length} bytes are no whole blocks of ${blockBytes}.`);
    return count;
  };
  return {
    values,
    bytes: blockBytes,
    layout,
    dequantize(bytes) {
      const count = countOf(bytes);
      const result = new Float32Array(count * values);
      const step = Math.min(Math.max(1, Math.floor(valuesAtATime / values)), count);
      const codes = new Uint8Array(step * values);
      const scales = scalesOf(step);
      const mins = hasMins ? scalesOf(step) : scales;
      for (let first = 0; first < count; first += step) {
        const blocks = Math.min(step, count - first);
        takeApart(bytes.subarray(first * blockBytes), blocks, codes, scales, mins);
        const into = result.subarray(first * values, (first + blocks) * values);
        if (hasMins) multiplyAndAdd(codes, zero, scales, mins, blockSize, into);
        else multiply(codes, zero, scales, blockSize, into);
      }
      return result;
    },
    unpack(bytes) {
      const count = countOf(bytes);
      const codes = new Uint8Array(count * values);
      const scales = scalesOf(count);
      if (!hasMins) {
        takeApart(bytes, count, codes, scales, scales);
        return { codes, scales };
      }
      const mins = scalesOf(count);
      takeApart(bytes, count, codes, scales, mins);
      // The product is computed with codes around the centre; what that shifts goes into the min.
      for (let i = 0; i < mins.length; i++) mins[i] = mins[i]! + (centre - zero) * scales[i]!;
      return { codes, scales, mins };
    },
  };
}

function multiply(
  codes: Uint8Array,
  zero: number,
  scales: Float32Array,
  blockSize: number,
  into: Float32Array,
): void {
  for (let start = 0, block = 0; start < into.length; start += blockSize, block++) {
    const scale = scales[block]!;
    for (let i = start; i < start + blockSize; i++) into[i] = scale * (codes[i]! - zero);
  }
}

/** As the reference does: the product is rounded to float32, then the sum. */
function multiplyAndAdd(
  codes: Uint8Array,
  zero: number,
  scales: Float32Array,
  mins: Float32Array,
  blockSize: number,
  into: Float32Array,
): void {
  for (let start = 0, block = 0; start < into.length; start += blockSize, block++) {
    const scale = scales[block]!;
    const min = mins[block]!;
    for (let i = start; i < start + blockSize; i++) into[i] = Math.fround(scale * (codes[i]! - zero)) + min;
  }
}
