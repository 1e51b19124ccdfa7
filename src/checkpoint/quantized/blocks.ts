/**
 * Block quantisation of a linear layer's rows, in the layout of ONNX Runtime's MatMulNBits: each block of 32 inputs has
 * a scale (float16) and, where asked for, a zero point; w = (q - zeroPoint) * scale.
 */
import { narrowFloat32, widenToFloat32 } from '../elementTypes.ts';

export const blockSize = 32;

export type Bits = 4 | 8;

export interface QuantizedRows {
  /** (rows, blocks, blockSize * bits / 8); two 4-bit values a byte, the first in the low half. */
  weight: Uint8Array;
  /** (rows, blocks) float16 */
  scales: Uint8Array;
  /** (rows, ceil(blocks * bits / 8)); undefined: all are 2^(bits - 1) */
  zeroPoints: Uint8Array | undefined;
}

/** Bytes of each part for a row of this many inputs. */
export function bytesPerRow(
  inFeatures: number,
  bits: Bits,
): { weight: number; scales: number; zeroPoints: number } {
  const blocks = Math.ceil(inFeatures / blockSize);
  return {
    weight: (blocks * blockSize * bits) / 8,
    scales: blocks * 2,
    zeroPoints: Math.ceil((blocks * bits) / 8),
  };
}

/**
 * Quantises rows.
 * @param values (rows, inFeatures) float32, finite
 * @param asymmetric with zero points: a block's range need not be centred on zero
 */
export function quantizeRows(
  values: Float32Array,
  inFeatures: number,
  bits: Bits,
  asymmetric: boolean,
): QuantizedRows {
  const rows = values.length / inFeatures;
  const blocks = Math.ceil(inFeatures / blockSize);
  const sizes = bytesPerRow(inFeatures, bits);
  const scales = new Float32Array(rows * blocks);
  const zeros = new Uint8Array(rows * blocks).fill(2 ** (bits - 1));
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const start = row * inFeatures + block * blockSize;
      const end = Math.min(start + blockSize, (row + 1) * inFeatures);
      const index = row * blocks + block;
      if (asymmetric) chooseRange(values, start, end, bits, scales, zeros, index);
      else
        scales[index] =
          bits === 8 ? symmetricScale8(values, start, end) : symmetricScale4(values, start, end);
    }
  }
  const scaleBytes = narrowFloat32(scales, 'F16');
  const rounded = widenToFloat32(scaleBytes, 'F16');
  const weight = new Uint8Array(rows * sizes.weight);
  writeLevels(values, inFeatures, bits, rounded, zeros, weight);
  return {
    weight,
    scales: scaleBytes,
    zeroPoints: asymmetric ? packZeroPoints(zeros, rows, blocks, bits) : undefined,
  };
}

/** The inverse of quantizeRows, for tests and measurements. */
export function dequantizeRows(quantized: QuantizedRows, inFeatures: number, bits: Bits): Float32Array {
  const blocks = Math.ceil(inFeatures / blockSize);
  const scales = widenToFloat32(quantized.scales, 'F16');
  const rows = scales.length / blocks;
  const { zeroPoints: zeroBytes } = bytesPerRow(inFeatures, bits);
  const values = new Float32Array(rows * inFeatures);
  const level = (bytes: Uint8Array, start: number, index: number): number =>
    bits === 8 ? bytes[start + index]! : (bytes[start + (index >> 1)]! >> (4 * (index & 1))) & 15;
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < inFeatures; i++) {
      const block = Math.floor(i / blockSize);
      const zero = quantized.zeroPoints
        ? level(quantized.zeroPoints, row * zeroBytes, block)
        : 2 ** (bits - 1);
      const q = level(quantized.weight, (row * blocks * blockSize * bits) / 8, i);
      values[row * inFeatures + i] = (q - zero) * scales[row * blocks + block]!;
    }
  }
  return values;
}

/** -127..127 cover the block. */
function symmetricScale8(values: Float32Array, start: number, end: number): number {
  let maximum = 0;
  for (let i = start; i < end; i++) {
    const magnitude = Math.abs(values[i]!);
    if (magnitude > maximum) maximum = magnitude;
  }
  return maximum / 127;
}

/**
 * Levels -8..7: the value of largest magnitude becomes -8, so the scale may be negative; of a few scales around that
 * the one with the smallest squared error is taken.
 */
function symmetricScale4(values: Float32Array, start: number, end: number): number {
  let extreme = 0;
  for (let i = start; i < end; i++) if (Math.abs(values[i]!) > Math.abs(extreme)) extreme = values[i]!;
  if (extreme === 0) return 0;
  let best = 0;
  let bestError = Infinity;
  for (let step = 0; step < 8; step++) {
    const scale = -extreme / (8 - 0.2 * (step - 1));
    const inverse = 1 / scale;
    let error = 0;
    for (let i = start; i < end; i++) {
      const value = values[i]!;
      const level = Math.max(-8, Math.min(7, Math.round(value * inverse)));
      const difference = value - level * scale;
      error += difference * difference;
    }
    if (error < bestError) {
      bestError = error;
      best = scale;
    }
  }
  return best;
}

/** How many narrower and narrower ranges are tried for a block: values beyond the ends are cut off. */
const rangeSteps = 5;

/**
 * Scale and zero point such that the levels cover the block's range, which includes 0; with 4 bits, of a few narrower
 * ranges too the one with the smallest squared error.
 */
function chooseRange(
  values: Float32Array,
  start: number,
  end: number,
  bits: Bits,
  scales: Float32Array,
  zeros: Uint8Array,
  index: number,
): void {
  let low = 0;
  let high = 0;
  for (let i = start; i < end; i++) {
    const value = values[i]!;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const levels = 2 ** bits - 1;
  let best = Infinity;
  for (let step = 0; step < (bits === 4 ? rangeSteps : 1); step++) {
    const scale = ((high - low) * (1 - 0.05 * step)) / levels;
    if (scale === 0) return;
    const inverse = 1 / scale;
    const zero = Math.round(-low * (1 - 0.05 * step) * inverse);
    let error = 0;
    for (let i = start; i < end; i++) {
      const value = values[i]!;
      // rounds (what is below zero is cut off anyway); Math.round takes several times as long
      let level = (value * inverse + zero + 0.5) | 0;
      if (level < 0) level = 0;
      else if (level > levels) level = levels;
      const difference = value - (level - zero) * scale;
      error += difference * difference;
    }
    if (error < best) {
      best = error;
      scales[index] = scale;
      zeros[index] = zero;
    }
  }
}

function writeLevels(
  values: Float32Array,
  inFeatures: number,
  bits: Bits,
  scales: Float32Array,
  zeros: Uint8Array,
  weight: Uint8Array,
): void {
  const rows = values.length / inFeatures;
  const blocks = Math.ceil(inFeatures / blockSize);
  const top = 2 ** bits - 1;
  let position = 0;
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const start = row * inFeatures + block * blockSize;
      const end = Math.min(start + blockSize, (row + 1) * inFeatures);
      const scale = scales[row * blocks + block]!;
      const zero = zeros[row * blocks + block]!;
      const inverse = scale === 0 ? 0 : 1 / scale;
      for (let i = start; i < start + blockSize; i++) {
        // what lies beyond the row's end is a zero
        const value = i < end ? values[i]! : 0;
        let level = (value * inverse + zero + 0.5) | 0;
        if (level < 0) level = 0;
        else if (level > top) level = top;
        if (bits === 8) weight[position++] = level;
        else if (((i - start) & 1) === 0) weight[position] = level;
        else weight[position++]! |= level << 4;
      }
    }
  }
}

function packZeroPoints(zeros: Uint8Array, rows: number, blocks: number, bits: Bits): Uint8Array {
  if (bits === 8) return zeros;
  const bytes = Math.ceil(blocks / 2);
  const packed = new Uint8Array(rows * bytes);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      packed[row * bytes + (block >> 1)]! |= zeros[row * blocks + block]! << (4 * (block & 1));
    }
  }
  return packed;
}
