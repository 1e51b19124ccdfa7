/** Which tensors the prepared file of a checkpoint has, and how each is made. */
import { parse } from 'node:path';
import { isFloatType } from '../elementTypes.ts';
import { embeddingsName, headName, layerName, linearsOf } from '../layers.ts';
import type { Checkpoint, TensorLocation } from '../types.ts';
import { layerParts, type Encoding } from './blocks.ts';
import type { PreparedPrecision } from './folders.ts';
import { quantizedEncoding } from './quantize.ts';
import { linearSource, storedEncoding, type LinearSource } from './sources.ts';

/** Raise it when files made before must be made again. 2: scales are float32, as the runtime reads them. */
export const recipeVersion = 2;

interface Member {
  name: string;
  outFeatures: number;
  source: LinearSource;
}

/** A linear layer of the prepared file: one layer of the checkpoint, or several that read the same input. */
export interface LinearRecipe {
  /** Name in the prepared file: see layerParts; and NAME.bias. */
  name: string;
  /** The checkpoint's layers whose rows it holds, one below the other. */
  members: readonly Member[];
  inFeatures: number;
  outFeatures: number;
  encoding: Encoding;
}

export interface Recipe {
  linears: readonly LinearRecipe[];
  /** Norm weights and biases, kept in float32: name in the prepared file and the checkpoint's tensors it joins. */
  vectors: readonly { name: string; sources: readonly TensorLocation[]; size: number }[];
}

/** A tensor of the prepared file. */
export interface PlannedTensor {
  name: string;
  dtype: 'F32' | 'U8';
  shape: number[];
}

/** Whether some of a checkpoint's linear layers are quantised; embeddings that are not the head too do not count. */
export function isQuantized({ config, tensors }: Checkpoint): boolean {
  const rowsOnly = config.tieWordEmbeddings ? undefined : `${embeddingsName}.weight`;
  return [...tensors].some(([name, { dtype }]) => name !== rowsOnly && !isFloatType(dtype));
}

/**
 * Layers of a model are quantised at the precision's bits; the head always at 8, for a wrong last digit there changes
 * the answer at once and it costs little. Token embeddings stay in the checkpoint: their rows are read from it. So do
 * float layers of a quantised checkpoint, if they can.
 *
 * @param root the folder in which the file will lie
 */
export function recipeOf(checkpoint: Checkpoint, precision: PreparedPrecision, root: string): Recipe {
  const { config, tensors } = checkpoint;
  const linears: LinearRecipe[] = [];
  const vectors: Recipe['vectors'][number][] = [];
  const addVector = (name: string, sources: readonly TensorLocation[]): void => {
    vectors.push({ name, sources, size: sources.reduce((sum, { shape }) => sum + shape[0]!, 0) });
  };
  const addProduct = (
    product: string,
    parts: readonly Omit<Member, 'source'>[],
    inFeatures: number,
  ): void => {
    const members = parts.map((part) => ({ ...part, source: linearSource(checkpoint, part.name) }));
    const encoded = members.map((member) =>
      encodingOf(member.source, precision, product === headName(config), root),
    );
    for (const indices of alike(encoded, precision === 'f32')) {
      const encoding = encoded[indices[0]!];
      if (encoding === undefined) continue;
      const joined = indices.map((index) => members[index]!);
      const names = joined.map((member) => member.name);
      const name = joined.length === members.length && precision !== 'f32' ? product : names.join('+');
      const outFeatures = joined.reduce((sum, member) => sum + member.outFeatures, 0);
      linears.push({ name, members: joined, inFeatures, outFeatures, encoding });
      const biases = names.flatMap((member) => tensors.get(`${member}.bias`) ?? []);
      if (biases.length > 0 && precision !== 'f32') addVector(`${name}.bias`, biases);
    }
  };
  for (let layer = 0; layer < config.numLayers; layer++) {
    const prefix = layerName(layer);
    for (const [product, parts] of Map.groupBy(linearsOf(config), ({ product }) => product)) {
      const members = parts.map(({ name, outFeatures }) => ({ name: `${prefix}.${name}`, outFeatures }));
      addProduct(`${prefix}.${product}`, members, parts[0]!.inFeatures);
    }
  }
  const head = headName(config);
  addProduct(head, [{ name: head, outFeatures: config.vocabSize }], config.hiddenSize);
  if (precision !== 'f32') {
    for (const [name, location] of tensors) if (name.endsWith('norm.weight')) addVector(name, [location]);
  }
  return { linears, vectors };
}

/** How a layer is stored in the prepared file; undefined: it stays where it lies. */
function encodingOf(
  source: LinearSource,
  precision: PreparedPrecision,
  isHead: boolean,
  root: string,
): Encoding | undefined {
  if (precision === 'int8' || precision === 'int4')
    return quantizedEncoding(precision === 'int8' || isHead ? 8 : 4);
  const isFloat = !('packing' in source) && isFloatType(source.dtype);
  // a graph reads its weights below one folder: on Windows another drive has none in common
  if (isFloat) return parse(source.file).root === parse(root).root ? undefined : 'float32';
  if (precision === 'f32') return 'float32';
  const stored = storedEncoding(source)!;
  return precision === 'exact' && stored.bits === 8 ? 'float32' : stored;
}

/** Places of equal encodings, which can be joined into one product. */
function alike(encodings: readonly (Encoding | undefined)[], apart: boolean): number[][] {
  const places = encodings.map((_, place) => place);
  if (apart) return places.map((place) => [place]);
  return [...Map.groupBy(places, (place) => JSON.stringify(encodings[place])).values()];
}

/** The tensors of the prepared file, widest elements first. */
export function plannedTensors({ linears, vectors }: Recipe): PlannedTensor[] {
  const parts = linears.flatMap(({ name, encoding, outFeatures, inFeatures }) =>
    layerParts(encoding, outFeatures, inFeatures).map((part) => ({ ...part, name: `${name}.${part.name}` })),
  );
  return [
    ...vectors.map(({ name, size }) => ({ name, dtype: 'F32' as const, shape: [size] })),
    ...parts.filter(({ dtype }) => dtype === 'F32'),
    ...parts.filter(({ dtype }) => dtype === 'U8'),
  ];
}
