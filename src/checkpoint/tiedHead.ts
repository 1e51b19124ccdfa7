/**
 * A model whose config.json ties the head to the embeddings, and whose files hold a head all the same: transformers 5
 * ties them only if the two are equal, else it takes the file's head (transformers 4 tied them anyway).
 */
import { UserError } from '../protocol/errors.ts';
import { bytesPerElement, isFloatType, widenToFloat32 } from './elementTypes.ts';
import { embeddingsName } from './layers.ts';
import { openForReading } from './safetensors.ts';
import type { ModelConfig, TensorLocation } from './types.ts';

/** Values compared at a time. */
const chunkValues = 2 ** 20;

/**
 * Whether a tied model's files hold a head of other values than the embeddings.
 * @throws UserError if a file cannot be read
 */
export async function hasOwnHead(
  { tieWordEmbeddings }: ModelConfig,
  tensors: ReadonlyMap<string, TensorLocation>,
): Promise<boolean> {
  const embeddings = tensors.get(`${embeddingsName}.weight`);
  const head = tensors.get('lm_head.weight');
  if (!tieWordEmbeddings || !embeddings || !head) return false;
  return !(await areEqual(embeddings, head));
}

/** Whether two tensors have the same shape and values, whatever float types they are stored in. */
async function areEqual(one: TensorLocation, other: TensorLocation): Promise<boolean> {
  if (one.shape.join() !== other.shape.join()) return false;
  const values = one.shape.reduce((product, size) => product * size, 1);
  for (let start = 0; start < values; start += chunkValues) {
    const count = Math.min(chunkValues, values - start);
    const [first, second] = await Promise.all([read(one, start, count), read(other, start, count)]);
    if (!first.every((value, index) => value === second[index])) return false;
  }
  return true;
}

async function read(
  { name, file, dtype, offset }: TensorLocation,
  start: number,
  count: number,
): Promise<Float32Array> {
  if (!isFloatType(dtype)) {
    throw new UserError(
      `Tensor "${name}" of ${file} has the element type ${dtype}; expected F32, F16 or BF16.`,
    );
  }
  const size = bytesPerElement[dtype];
  const handle = await openForReading(file);
  try {
    const bytes = new Uint8Array(count * size);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, offset + start * size);
    if (bytesRead !== bytes.length) throw new UserError(`${file} ends before tensor "${name}" does.`);
    return widenToFloat32(bytes, dtype);
  } finally {
    await handle.close();
  }
}
