/**
 * Where the rows of a linear layer come from: a tensor of floats or of quantised blocks, or the packed tensors of GPTQ
 * and AWQ. Rows are read a few at a time, as floats or in the blocks in which they are stored.
 */
import { UserError } from '../../protocol/errors.ts';
import { isFloatType } from '../elementTypes.ts';
import { blockFormats } from '../gguf/blocks/formats.ts';
import { readRows, TensorRows } from '../tensorRows.ts';
import type { BlockType, Checkpoint, TensorLocation } from '../types.ts';
import { decodeBlocks, type BlockEncoding, type Blocks } from './blocks.ts';
import { packedBlocks, packedEncoding, packedFeatures, type PackedLinear } from './packedLinears.ts';

export type LinearSource = TensorLocation | PackedLinear;

/** The source of a linear layer of the checkpoint, by its name without `.weight`. */
export function linearSource({ config, tensors }: Checkpoint, name: string): LinearSource {
  const weight = tensors.get(`${name}.weight`);
  if (weight) return weight;
  const [codes, zeroPoints, scales] = ['qweight', 'qzeros', 'scales'].map((part) =>
    tensors.get(`${name}.${part}`),
  );
  if (!config.packing || !codes || !zeroPoints || !scales) throw new Error(`There is no layer ${name}.`);
  const groups = tensors.get(`${name}.g_idx`);
  return { name, packing: config.packing, codes, zeroPoints, scales, ...(groups ? { groups } : {}) };
}

/** The blocks in which a layer is stored; undefined for floats. */
export function storedEncoding(source: LinearSource): BlockEncoding | undefined {
  if ('packing' in source) return packedEncoding(source.packing);
  if (isFloatType(source.dtype)) return undefined;
  return { ...blockFormats[source.dtype as BlockType].layout, zeroPoints: false };
}

/** Bytes of a source in its files. */
export function storedBytes(source: LinearSource): number {
  return 'packing' in source ? source.codes.length : source.length;
}

/** Rows as float32, (count, inFeatures). */
export async function readFloats(
  source: LinearSource,
  start: number,
  count: number,
): Promise<Float32Array<ArrayBuffer>> {
  if (!('packing' in source)) return readRows(source, start, count);
  const { inFeatures } = packedFeatures(source);
  return decodeBlocks(await packedBlocks(source, start, count), inFeatures, packedEncoding(source.packing));
}

/** Rows in the blocks of `storedEncoding`. */
export async function readBlocks(source: LinearSource, start: number, count: number): Promise<Blocks> {
  if ('packing' in source) return packedBlocks(source, start, count);
  await using rows = await TensorRows.open(source);
  return blockFormats[source.dtype as BlockType].unpack(rows.readStored(start, count));
}

/** @throws UserError for a value that is not finite: its block would become garbage without a word */
export function checkFinite(values: Float32Array, { name, file }: { name: string; file: string }): void {
  // a difference of NaN or infinity from itself is NaN, and so is every sum with it
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! - values[i]!;
  if (sum !== 0) {
    throw new UserError(
      `${file}: tensor "${name}" holds values that are not finite (NaN or infinity), so it cannot be ` +
        'quantised. Download the model again.',
    );
  }
}
