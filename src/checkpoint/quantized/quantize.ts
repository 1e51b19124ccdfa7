/**
 * Block quantisation of float rows. 8 bits: symmetric, -127..127 cover the block. 4 bits: with zero points, and of a few
 * narrower and narrower ranges (values beyond the ends are cut off) the one with the smallest squared error. Scales are
 * rounded to float16, so that devices which compute in it see the same weights.
 */
import { narrowFloat32, widenToFloat32 } from '../elementTypes.ts';
import type { Bits, BlockEncoding, Blocks } from './blocks.ts';

/** How rows are quantised in a number of bits. */
export function quantizedEncoding(bits: Bits): BlockEncoding {
  return { bits, blockSize, zeroPoints: bits === 4, mins: false };
}

const blockSize = 32;

/**
 * Quantises rows.
 * @param values (rows, inFeatures) float32, finite
 */
export function quantizeRows(values: Float32Array, inFeatures: number, bits: Bits): Blocks {
  const rows = values.length / inFeatures;
  const blocks = Math.ceil(inFeatures / blockSize);
  const padded = inFeatures % blockSize === 0 ? values : padRows(values, inFeatures, blocks * blockSize);
  const exact = new Float32Array(rows * blocks);
  const zeroPoints = new Uint8Array(rows * blocks).fill(2 ** (bits - 1));
  for (let block = 0; block < rows * blocks; block++) {
    if (bits === 4) chooseRange(padded, block, exact, zeroPoints);
    else exact[block] = symmetricScale(padded, block);
  }
  const scales = widenToFloat32(narrowFloat32(exact, 'F16'), 'F16');
  const codes = codesOf(padded, scales, zeroPoints, 2 ** bits - 1);
  return { codes, scales, zeroPoints: bits === 4 ? zeroPoints : undefined };
}

/** What lies beyond a row's end is zeros. */
function padRows(values: Float32Array, from: number, to: number): Float32Array {
  const rows = values.length / from;
  const padded = new Float32Array(rows * to);
  for (let row = 0; row < rows; row++) padded.set(values.subarray(row * from, (row + 1) * from), row * to);
  return padded;
}

function symmetricScale(values: Float32Array, block: number): number {
  let maximum = 0;
  for (let i = block * blockSize; i < (block + 1) * blockSize; i++) {
    const magnitude = Math.abs(values[i]!);
    if (magnitude > maximum) maximum = magnitude;
  }
  return maximum / 127;
}

/** Shares of the block's range, which includes 0, that are tried; the loop below is written out for each. */
const shares = [1, 1 - 0.05, 1 - 0.05 * 2, 1 - 0.05 * 3, 1 - 0.05 * 4] as const;

/** Scale and zero point of a block at 4 bits. */
function chooseRange(
  values: Float32Array,
  block: number,
  scales: Float32Array,
  zeroPoints: Uint8Array,
): void {
  const start = block * blockSize;
  const end = start + blockSize;
  let low = 0;
  let high = 0;
  for (let i = start; i < end; i++) {
    const value = values[i]!;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (high === low) return;
  // five sums side by side keep the processor busy: one after the other takes three times as long
  const scale0 = ((high - low) * shares[0]) / 15;
  const scale1 = ((high - low) * shares[1]) / 15;
  const scale2 = ((high - low) * shares[2]) / 15;
  const scale3 = ((high - low) * shares[3]) / 15;
  const scale4 = ((high - low) * shares[4]) / 15;
  const inverse0 = 1 / scale0;
  const inverse1 = 1 / scale1;
  const inverse2 = 1 / scale2;
  const inverse3 = 1 / scale3;
  const inverse4 = 1 / scale4;
  const zero0 = Math.round(-low * shares[0] * inverse0);
  const zero1 = Math.round(-low * shares[1] * inverse1);
  const zero2 = Math.round(-low * shares[2] * inverse2);
  const zero3 = Math.round(-low * shares[3] * inverse3);
  const zero4 = Math.round(-low * shares[4] * inverse4);
  let error0 = 0;
  let error1 = 0;
  let error2 = 0;
  let error3 = 0;
  let error4 = 0;
  for (let i = start; i < end; i++) {
    const value = values[i]!;
    const difference0 = value - (nearestCode(value * inverse0 + zero0) - zero0) * scale0;
    const difference1 = value - (nearestCode(value * inverse1 + zero1) - zero1) * scale1;
    const difference2 = value - (nearestCode(value * inverse2 + zero2) - zero2) * scale2;
    const difference3 = value - (nearestCode(value * inverse3 + zero3) - zero3) * scale3;
    const difference4 = value - (nearestCode(value * inverse4 + zero4) - zero4) * scale4;
    error0 += difference0 * difference0;
    error1 += difference1 * difference1;
    error2 += difference2 * difference2;
    error3 += difference3 * difference3;
    error4 += difference4 * difference4;
  }
  let best = error0;
  scales[block] = scale0;
  zeroPoints[block] = zero0;
  const keep = (error: number, scale: number, zero: number): void => {
    if (error >= best) return;
    best = error;
    scales[block] = scale;
    zeroPoints[block] = zero;
  };
  keep(error1, scale1, zero1);
  keep(error2, scale2, zero2);
  keep(error3, scale3, zero3);
  keep(error4, scale4, zero4);
}

/** The nearest of the levels 0..15 (what is below zero is cut off anyway; Math.round takes several times as long). */
function nearestCode(position: number): number {
  const code = (position + 0.5) | 0;
  return code < 0 ? 0 : code > 15 ? 15 : code;
}

function codesOf(
  values: Float32Array,
  scales: Float32Array,
  zeroPoints: Uint8Array,
  top: number,
): Uint8Array {
  const codes = new Uint8Array(values.length);
  for (let block = 0, i = 0; block < scales.length; block++) {
    const scale = scales[block]!;
    const zero = zeroPoints[block]!;
    const inverse = scale === 0 ? 0 : 1 / scale;
    for (const end = i + blockSize; i < end; i++) {
      const code = (values[i]! * inverse + zero + 0.5) | 0;
      codes[i] = code < 0 ? 0 : code > top ? top : code;
    }
  }
  return codes;
}
