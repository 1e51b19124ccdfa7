/**
 * How a linear layer's weights lie in a prepared file: in the layout of ONNX Runtime's MatMulNBits, each block of inputs
 * of a row has a scale and, where the encoding has them, a zero point or a minimum:
 * w = (code - zeroPoint) * scale + min, the zero point being 2^(bits - 1) where none is stored.
 */
export type Bits = 4 | 8;

export interface BlockEncoding {
  bits: Bits;
  /** Inputs that share a scale. */
  blockSize: 16 | 32 | 64 | 128;
  zeroPoints: boolean;
  mins: boolean;
}

/** `float32`: no blocks, the weights themselves. */
export type Encoding = BlockEncoding | 'float32';

/** Rows in blocks, whatever they come from. Numbers lie by row, then by block. */
export interface Blocks {
  /** One byte each; the last block of a row is filled up with zero points. */
  codes: Uint8Array;
  scales: Float32Array;
  /** One byte each, where the encoding has them. */
  zeroPoints?: Uint8Array | undefined;
  mins?: Float32Array | undefined;
}

/** A tensor of a layer in the file: NAME.weight, NAME.scales, NAME.zero_points, NAME.mins. */
export interface LayerPart {
  name: 'weight' | 'scales' | 'zero_points' | 'mins';
  dtype: 'F32' | 'U8';
  shape: number[];
}

/** Whether two layers are stored in the same way. */
export function sameEncoding(a: BlockEncoding | undefined, b: BlockEncoding): boolean {
  return (
    a?.bits === b.bits && a.blockSize === b.blockSize && a.zeroPoints === b.zeroPoints && a.mins === b.mins
  );
}

/** The tensors that a layer has in the file. */
export function layerParts(encoding: Encoding, outFeatures: number, inFeatures: number): LayerPart[] {
  if (encoding === 'float32') return [{ name: 'weight', dtype: 'F32', shape: [outFeatures, inFeatures] }];
  const { bits, blockSize, zeroPoints, mins } = encoding;
  const blocks = Math.ceil(inFeatures / blockSize);
  const parts: LayerPart[] = [
    { name: 'weight', dtype: 'U8', shape: [outFeatures, blocks, (blockSize * bits) / 8] },
    { name: 'scales', dtype: 'F32', shape: [outFeatures * blocks] },
  ];
  if (zeroPoints)
    parts.push({ name: 'zero_points', dtype: 'U8', shape: [outFeatures * Math.ceil((blocks * bits) / 8)] });
  if (mins) parts.push({ name: 'mins', dtype: 'F32', shape: [outFeatures, blocks] });
  return parts;
}

/** The bytes of a layer's parts for some of its rows. */
export function encodeBlocks(
  { codes, scales, zeroPoints, mins }: Blocks,
  rows: number,
  { bits }: BlockEncoding,
): Map<LayerPart['name'], Uint8Array> {
  const parts = new Map([
    ['weight', bits === 4 ? packPairs(codes, codes.length) : codes],
    ['scales', bytesOf(scales)],
  ] as [LayerPart['name'], Uint8Array][]);
  if (zeroPoints)
    parts.set('zero_points', bits === 4 ? packPairs(zeroPoints, zeroPoints.length / rows) : zeroPoints);
  if (mins) parts.set('mins', bytesOf(mins));
  return parts;
}

/** The values of rows in blocks, (rows, inFeatures). */
export function decodeBlocks(
  { codes, scales, zeroPoints, mins }: Blocks,
  inFeatures: number,
  { bits, blockSize }: BlockEncoding,
): Float32Array<ArrayBuffer> {
  const blocks = Math.ceil(inFeatures / blockSize);
  const rows = scales.length / blocks;
  const values = new Float32Array(rows * inFeatures);
  for (let row = 0, block = 0; row < rows; row++) {
    const end = (row + 1) * inFeatures;
    for (let start = row * inFeatures; start < end; start += blockSize, block++) {
      const scale = scales[block]!;
      const zero = zeroPoints ? zeroPoints[block]! : 2 ** (bits - 1);
      const min = mins ? mins[block]! : 0;
      const stop = Math.min(start + blockSize, end);
      for (let i = start, code = block * blockSize; i < stop; i++, code++)
        values[i] = (codes[code]! - zero) * scale + min;
    }
  }
  return values;
}

/** Two 4-bit values a byte, the first in the low half; every row begins with a byte of its own. */
function packPairs(values: Uint8Array, rowLength: number): Uint8Array {
  const rows = values.length / rowLength;
  const width = Math.ceil(rowLength / 2);
  const packed = new Uint8Array(rows * width);
  if (rowLength % 2 === 0) {
    for (let i = 0, j = 0; i < packed.length; i++, j += 2) packed[i] = values[j]! | (values[j + 1]! << 4);
    return packed;
  }
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < rowLength; i++)
      packed[row * width + (i >> 1)]! |= values[row * rowLength + i]! << (4 * (i & 1));
  }
  return packed;
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
