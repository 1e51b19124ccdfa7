/**
 * Which weights a model has, told from a few of their values, so that virtual tokens are known again with the model they
 * were trained for, wherever it lies and however its files are cut. Two hashes, because a quantised copy of a model keeps
 * its norms (they stay floats in every format) and nothing else.
 */
import { createHash, type Hash } from 'node:crypto';
import { isFloatType } from './elementTypes.ts';
import { isBlockType } from './gguf/blocks/formats.ts';
import { TensorRows } from './tensorRows.ts';
import type { Checkpoint, TensorLocation } from './types.ts';

/** Rows of the embeddings, and of each other sampled matrix. */
const embeddingRows = 16;
const layerRows = 2;

/** What the hashes say of two models. */
export type SameWeights = 'same' | 'quantised copy' | 'same norms' | 'other' | 'unknown';

/**
 * `float.WEIGHTS.NORMS` or `quantised.WEIGHTS.NORMS`: a hash of the shape and of sampled rows (of the embeddings, of the
 * first, middle and last layer), and one of the shape and of the layers' norms, values as float32. A folder in bfloat16 and its copy
 * in float32 have the same; a GGUF file of quantised blocks has the same norms.
 * @throws UserError if a file cannot be read
 */
export async function weightsFingerprint(checkpoint: Checkpoint): Promise<string> {
  const { config, tensors } = checkpoint;
  const { hiddenSize, intermediateSize, numLayers, numHeads, numKeyValueHeads, headDim } = config;
  const shape = JSON.stringify([
    hiddenSize,
    intermediateSize,
    numLayers,
    numHeads,
    numKeyValueHeads,
    headDim,
  ]);
  const weights = createHash('sha256').update(shape);
  const norms = createHash('sha256').update(shape);
  const layers = [0, Math.floor(numLayers / 2), numLayers - 1];
  const sampled = new RegExp(`^model\\.(embed_tokens|layers\\.(${layers.join('|')}))\\.`);
  let quantised = config.packing !== undefined;
  const sorted = [...tensors].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, location] of sorted) {
    quantised ||= isBlockType(location.dtype);
    if (!isFloatType(location.dtype) && !isBlockType(location.dtype)) continue;
    // A converter may put a factor of the scores into the norms of queries and keys.
    if (/[qk]_norm\.weight$/.test(name)) continue;
    if (/norm\.weight$/.test(name)) await addRows(norms, name, location, Infinity, config.normWeightOffset);
    else if (sampled.test(name)) {
      await addRows(weights, name, location, name.includes('embed_tokens') ? embeddingRows : layerRows, 0);
    }
  }
  const kind = quantised ? 'quantised' : 'float';
  return [kind, ...[weights, norms].map((hash) => hash.digest('hex').slice(0, 32))].join('.');
}

/** Rows spread evenly over a tensor, with its name. */
async function addRows(
  hash: Hash,
  name: string,
  location: TensorLocation,
  most: number,
  offset: 0 | 1,
): Promise<void> {
  await using rows = await TensorRows.open(location);
  hash.update(`\n${name}\n`);
  const count = Math.min(most, rows.rows);
  for (let place = 0; place < count; place++) {
    const values = rows.read(Math.floor(((place + 0.5) * rows.rows) / count), 1);
    const added = offset === 0 ? values : values.map((value) => value + offset);
    hash.update(new Uint8Array(added.buffer, added.byteOffset, added.byteLength));
  }
}

/**
 * What two fingerprints say: `same`; `quantised copy`: the same norms, and one of them is quantised; `same norms`: other
 * weights in floats, as of a fine-tuned copy; `other`; `unknown`: one of them is no fingerprint of this form.
 */
export function compareWeights(a: string, b: string): SameWeights {
  const form = /^(float|quantised)\.([0-9a-f]{32})\.([0-9a-f]{32})$/;
  const [one, other] = [form.exec(a), form.exec(b)];
  if (!one || !other) return 'unknown';
  if (one[3] !== other[3]) return 'other';
  if (one[2] === other[2]) return 'same';
  return one[1] === 'quantised' || other[1] === 'quantised' ? 'quantised copy' : 'same norms';
}
