/** Which tensors a quantised checkpoint has, and how each is made. */
import { UserError } from '../../protocol/errors.ts';
import { headName, layerName, linearsOf } from '../layers.ts';
import type { Checkpoint, TensorLocation } from '../types.ts';
import { blockSize, bytesPerRow, type Bits } from './blocks.ts';

export type QuantizedPrecision = 'int8' | 'int4';

/** Raise it when files made before must be made again. */
export const recipeVersion = 1;

/** A linear layer of the quantised file: one layer of the checkpoint, or several that read the same input. */
export interface LinearRecipe {
  /** Name in the quantised file: tensors NAME.weight, NAME.scales, NAME.zero_points, NAME.bias. */
  name: string;
  /** The checkpoint's layers whose rows it holds, one below the other. */
  members: readonly { name: string; outFeatures: number }[];
  inFeatures: number;
  outFeatures: number;
  bits: Bits;
  asymmetric: boolean;
}

export interface Recipe {
  linears: readonly LinearRecipe[];
  /** Norm weights and biases, kept in float32: name in the quantised file and the checkpoint's tensors it joins. */
  vectors: readonly { name: string; sources: readonly TensorLocation[]; size: number }[];
}

/** A tensor of the quantised file. */
export interface PlannedTensor {
  name: string;
  dtype: 'F32' | 'F16' | 'U8';
  shape: number[];
}

/**
 * Layers at the precision's bits; the head always at 8, for a wrong last digit there changes the answer at once and it
 * costs little. Token embeddings stay in the checkpoint: their rows are read from it.
 */
export function recipeOf(checkpoint: Checkpoint, precision: QuantizedPrecision): Recipe {
  const { config, tensors } = checkpoint;
  const bits: Bits = precision === 'int8' ? 8 : 4;
  const linears: LinearRecipe[] = [];
  const vectors: Recipe['vectors'][number][] = [];
  const addLinear = (
    name: string,
    members: LinearRecipe['members'],
    inFeatures: number,
    linearBits: Bits,
  ): void => {
    linears.push({
      name,
      members,
      inFeatures,
      outFeatures: members.reduce((sum, { outFeatures }) => sum + outFeatures, 0),
      bits: linearBits,
      asymmetric: linearBits === 4,
    });
    const biases = members.flatMap((member) => tensors.get(`${member.name}.bias`) ?? []);
    if (biases.length > 0) addVector(`${name}.bias`, biases);
  };
  const addVector = (name: string, sources: readonly TensorLocation[]): void => {
    vectors.push({ name, sources, size: sources.reduce((sum, { shape }) => sum + shape[0]!, 0) });
  };
  for (let layer = 0; layer < config.numLayers; layer++) {
    const prefix = layerName(layer);
    for (const [product, parts] of Map.groupBy(linearsOf(config), ({ product }) => product)) {
      const members = parts.map(({ name, outFeatures }) => ({ name: `${prefix}.${name}`, outFeatures }));
      addLinear(`${prefix}.${product}`, members, parts[0]!.inFeatures, bits);
    }
  }
  const head = headName(config);
  addLinear(head, [{ name: head, outFeatures: config.vocabSize }], config.hiddenSize, 8);
  for (const [name, location] of tensors) {
    if (name.endsWith('norm.weight')) addVector(name, [location]);
  }
  return { linears, vectors };
}

/** The tensors of the quantised file, widest elements first. */
export function plannedTensors({ linears, vectors }: Recipe): PlannedTensor[] {
  const planned: PlannedTensor[] = vectors.map(({ name, size }) => ({ name, dtype: 'F32', shape: [size] }));
  for (const { name, inFeatures, outFeatures } of linears) {
    const blocks = Math.ceil(inFeatures / blockSize);
    planned.push({ name: `${name}.scales`, dtype: 'F16', shape: [outFeatures * blocks] });
  }
  for (const { name, inFeatures, outFeatures, bits, asymmetric } of linears) {
    const blocks = Math.ceil(inFeatures / blockSize);
    const sizes = bytesPerRow(inFeatures, bits);
    planned.push({
      name: `${name}.weight`,
      dtype: 'U8',
      shape: [outFeatures, blocks, sizes.weight / blocks],
    });
    if (asymmetric) {
      planned.push({ name: `${name}.zero_points`, dtype: 'U8', shape: [outFeatures * sizes.zeroPoints] });
    }
  }
  return planned;
}

/** @throws UserError for a value that is not finite: its block would become garbage without a word */
export function checkFinite(values: Float32Array, name: string, file: string): void {
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
