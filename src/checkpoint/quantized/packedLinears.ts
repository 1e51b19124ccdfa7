/**
 * The packed linear layers of GPTQ and AWQ checkpoints: `NAME.qweight` and `NAME.qzeros` hold codes in int32 words,
 * `NAME.scales` a scale for each group of inputs and output. w = (code - zeroPoint) * scale.
 *
 * GPTQ (AutoGPTQ, gptqmodel: qlinear of type "cuda"): qweight (in * bits / 32, out) packs inputs, the first in the
 * lowest bits; qzeros (groups, out * bits / 32) packs outputs, and in version 1 stores the zero point minus 1.
 * AWQ (AutoAWQ, version "gemm"): qweight (in, out / 8) and qzeros (groups, out / 8) pack eight outputs a word, in the
 * order 0, 2, 4, 6, 1, 3, 5, 7.
 */
import { UserError } from '../../protocol/errors.ts';
import { isFloatType, widenToFloat32, type FloatType } from '../elementTypes.ts';
import { readTensorBytes } from '../safetensors.ts';
import type { Packing, TensorLocation } from '../types.ts';
import type { BlockEncoding, Blocks } from './blocks.ts';

export interface PackedLinear {
  /** The layer's name, without `.qweight`. */
  name: string;
  packing: Packing;
  codes: TensorLocation;
  zeroPoints: TensorLocation;
  scales: TensorLocation;
  /** GPTQ: the group of every input. */
  groups?: TensorLocation;
}

/** Which output each of the eight values of an AWQ word belongs to, lowest bits first. */
const awqOrder = [0, 2, 4, 6, 1, 3, 5, 7];

export function packedEncoding({ bits, groupSize }: Packing): BlockEncoding {
  return { bits, blockSize: groupSize, zeroPoints: true, mins: false };
}

/** The shapes of a packed layer's tensors. */
export function packedShapes(
  { method, bits, groupSize }: Packing,
  outFeatures: number,
  inFeatures: number,
): Record<'qweight' | 'qzeros' | 'scales', number[]> {
  const inWord = 32 / bits;
  const groups = inFeatures / groupSize;
  return {
    qweight: method === 'gptq' ? [inFeatures / inWord, outFeatures] : [inFeatures, outFeatures / inWord],
    qzeros: [groups, outFeatures / inWord],
    scales: [groups, outFeatures],
  };
}

export function packedFeatures({ packing: { method, bits }, codes, scales }: PackedLinear): {
  outFeatures: number;
  inFeatures: number;
} {
  const rows = codes.shape[0]!;
  return { outFeatures: scales.shape[1]!, inFeatures: method === 'gptq' ? (rows * 32) / bits : rows };
}

/** The last layer's tensors: rows of a layer lie all over them, and are read a few at a time. */
let latest: { codes: TensorLocation; words: Promise<LayerWords> } | undefined;

interface LayerWords {
  codes: Uint32Array;
  zeroPoints: Uint32Array;
  scales: Float32Array;
}

/**
 * Outputs start to start + count of a layer.
 * @throws UserError for groups in another order than the inputs (act-order), and scales that are not finite
 */
export async function packedBlocks(linear: PackedLinear, start: number, count: number): Promise<Blocks> {
  if (latest?.codes !== linear.codes) latest = { codes: linear.codes, words: readWords(linear) };
  const words = await latest.words;
  const { packing } = linear;
  const { outFeatures, inFeatures } = packedFeatures(linear);
  const groups = inFeatures / packing.groupSize;
  const codes = new Uint8Array(count * inFeatures);
  const zeroPoints = new Uint8Array(count * groups);
  const scales = new Float32Array(count * groups);
  const { bits, method } = packing;
  const inWord = 32 / bits;
  const mask = 2 ** bits - 1;
  const width = outFeatures / inWord;
  for (let row = 0; row < count; row++) {
    const output = start + row;
    const column = Math.floor(output / inWord);
    const place = output % inWord;
    const shift = bits * (method === 'awq' ? awqOrder.indexOf(place) : place);
    if (method === 'gptq') {
      for (let i = 0, to = row * inFeatures; i < inFeatures / inWord; i++) {
        let word = words.codes[i * outFeatures + output]!;
        for (let j = 0; j < inWord; j++, word >>>= bits) codes[to++] = word & mask;
      }
    } else {
      for (let i = 0, to = row * inFeatures; i < inFeatures; i++)
        codes[to++] = (words.codes[i * width + column]! >>> shift) & mask;
    }
    for (let group = 0, to = row * groups; group < groups; group++, to++) {
      zeroPoints[to] =
        ((words.zeroPoints[group * width + column]! >>> shift) + packing.zeroPointOffset) & mask;
      scales[to] = words.scales[group * outFeatures + output]!;
    }
  }
  return { codes, scales, zeroPoints };
}

async function readWords(linear: PackedLinear): Promise<LayerWords> {
  const { codes, zeroPoints, scales, groups, packing } = linear;
  const scaleValues = widenToFloat32(await readTensorBytes(scales), scales.dtype as FloatType);
  if (!scaleValues.every(Number.isFinite)) {
    throw new UserError(
      `${scales.file}: tensor "${scales.name}" holds values that are not finite (NaN or infinity). ` +
        'Download the model again.',
    );
  }
  if (groups) {
    const order = new Int32Array((await readTensorBytes(groups)).buffer);
    if (!order.every((group, input) => group === Math.floor(input / packing.groupSize))) {
      throw new UserError(
        `${groups.file}: tensor "${groups.name}" puts inputs into groups in another order than their own (act-order), ` +
          'which is not supported: take a version of the model that was quantised with desc_act false.',
      );
    }
  }
  return {
    codes: new Uint32Array((await readTensorBytes(codes)).buffer),
    zeroPoints: new Uint32Array((await readTensorBytes(zeroPoints)).buffer),
    scales: scaleValues,
  };
}

/**
 * The tensors of a packed layer among those of a checkpoint, by their names.
 * @returns undefined if the layer is not packed; else the tensors, and in words what is wrong with them
 */
export function selectPacked(
  found: ReadonlyMap<string, TensorLocation>,
  name: string,
  packing: Packing,
  [outFeatures, inFeatures]: readonly [number, number],
): { tensors: TensorLocation[]; wrong: string[] } | undefined {
  if (!found.has(`${name}.qweight`)) return undefined;
  const tensors: TensorLocation[] = [];
  const wrong: string[] = [];
  for (const [part, shape] of Object.entries(packedShapes(packing, outFeatures, inFeatures))) {
    const location = found.get(`${name}.${part}`);
    const fits = part === 'scales' ? isFloatType(location?.dtype ?? '') : location?.dtype === 'I32';
    if (location?.shape.join() === shape.join() && fits) tensors.push(location);
    else {
      const is = location ? `is ${location.dtype} [${location.shape.join(', ')}]` : 'is missing';
      const type = part === 'scales' ? 'floats' : 'I32';
      wrong.push(`${name}.${part} ${is}, expected ${type} [${shape.join(', ')}]`);
    }
  }
  const groups = found.get(`${name}.g_idx`);
  if (groups && packing.method === 'gptq') {
    if (groups.dtype === 'I32' && groups.shape.join() === String(inFeatures)) tensors.push(groups);
    else
      wrong.push(
        `${name}.g_idx is ${groups.dtype} [${groups.shape.join(', ')}], expected I32 [${inFeatures}]`,
      );
  }
  return { tensors, wrong };
}
