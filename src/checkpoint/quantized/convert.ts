/**
 * Makes the prepared file of a checkpoint: layer by layer, on all cores, a few rows at a time, so that memory does not
 * depend on the model's size.
 */
import { writeFile } from 'node:fs/promises';
import { throwIfCancelled } from '../../protocol/errors.ts';
import { encodeBlocks, sameEncoding } from './blocks.ts';
import { convertOnAllCores } from './conversionPool.ts';
import type { LayerTask } from './conversionTask.ts';
import { planFile, TensorWriter, type Span } from './preparedFile.ts';
import { quantizedEncoding, quantizeRows } from './quantize.ts';
import { plannedTensors, type LinearRecipe, type Recipe } from './recipe.ts';
import { readRows } from '../tensorRows.ts';
import { checkFinite, readBlocks, readFloats, storedBytes, storedEncoding } from './sources.ts';

/** Bytes of weights, as float32, that are converted at a time. */
const chunkBytes = 8 * 1024 * 1024;
/** Rows are read in multiples of this: heads whose rows are interleaved are then seldom cut, and read twice. */
const wholeHeads = 256;
/** Smaller models are done before threads have started. */
const worthThreads = 64 * 1024 * 1024;

export interface ConversionProgress {
  /** Bytes of the checkpoint's weights that have been read, of all. */
  done: number;
  total: number;
}

/**
 * Writes the prepared file; yields progress, returns the SHA-256 of each tensor by its name.
 * @throws UserError for weights that cannot be read or are not finite, CancelledError when the signal fires
 */
export async function* writePreparedFile(
  recipe: Recipe,
  path: string,
  signal?: AbortSignal,
  onThreads = recipe.linears.reduce((sum, linear) => sum + bytesOf(linear), 0) >= worthThreads,
): AsyncGenerator<ConversionProgress, Record<string, string>> {
  const { header, spans } = planFile(plannedTensors(recipe));
  throwIfCancelled(signal);
  await writeFile(path, header, { flag: 'wx' });
  const sha256 = await writeVectors(recipe, path, spans);
  const tasks = recipe.linears.map((linear): LayerTask => {
    const own = [...spans].filter(([name]) => isOf(name, linear) && !(name in sha256));
    return { linear, path, spans: new Map(own) };
  });
  const total = recipe.linears.reduce((sum, linear) => sum + bytesOf(linear), 0);
  let done = 0;
  const steps = onThreads ? convertOnAllCores(bySize(tasks), signal) : convertHere(tasks, signal);
  for (;;) {
    const step = await steps.next();
    if (step.done) return { ...sha256, ...step.value };
    done += step.value;
    yield { done, total };
  }
}

async function* convertHere(
  tasks: readonly LayerTask[],
  signal?: AbortSignal,
): AsyncGenerator<number, Record<string, string>> {
  const sha256: Record<string, string> = {};
  for (const task of tasks) {
    const steps = convertLayer(task);
    for (;;) {
      throwIfCancelled(signal);
      const step = await steps.next();
      if (step.done) {
        Object.assign(sha256, step.value);
        break;
      }
      yield step.value;
    }
  }
  return sha256;
}

/**
 * Writes one layer; yields bytes of the checkpoint's weights as they are read, returns the SHA-256 of its tensors.
 * @throws UserError for weights that cannot be read or are not finite
 */
export async function* convertLayer({
  linear,
  path,
  spans,
}: LayerTask): AsyncGenerator<number, Record<string, string>> {
  const output = await TensorWriter.open(path, spans);
  try {
    for (const { source, outFeatures } of linear.members) {
      const rowsAtOnce =
        wholeHeads * Math.max(1, Math.floor(chunkBytes / (4 * linear.inFeatures * wholeHeads)));
      for (let row = 0; row < outFeatures; row += rowsAtOnce) {
        const rows = Math.min(rowsAtOnce, outFeatures - row);
        for (const [part, bytes] of await encodeRows(linear, source, row, rows))
          await output.append(`${linear.name}.${part}`, bytes);
        yield (storedBytes(source) * rows) / outFeatures;
      }
    }
    return await output.finish();
  } finally {
    await output.close();
  }
}

/** The parts of some rows of a layer. */
async function encodeRows(
  { inFeatures, encoding }: LinearRecipe,
  source: LinearRecipe['members'][number]['source'],
  start: number,
  rows: number,
): Promise<Map<string, Uint8Array>> {
  const where = 'packing' in source ? { name: source.name, file: source.codes.file } : source;
  // int8 and int4 too: what is stored just so loses nothing
  if (encoding !== 'float32' && sameEncoding(storedEncoding(source), encoding)) {
    const blocks = await readBlocks(source, start, rows);
    checkFinite(blocks.scales, where);
    if (blocks.mins) checkFinite(blocks.mins, where);
    return encodeBlocks(blocks, rows, encoding);
  }
  const values = await readFloats(source, start, rows);
  checkFinite(values, where);
  if (encoding === 'float32') return new Map([['weight', bytesOfValues(values)]]);
  return encodeBlocks(
    quantizeRows(values, inFeatures, encoding.bits),
    rows,
    quantizedEncoding(encoding.bits),
  );
}

async function writeVectors(
  { vectors }: Recipe,
  path: string,
  spans: ReadonlyMap<string, Span>,
): Promise<Record<string, string>> {
  const own = new Map(vectors.map(({ name }) => [name, spans.get(name)!]));
  const output = await TensorWriter.open(path, own);
  try {
    for (const { name, sources } of vectors) {
      for (const source of sources) {
        const values = await readRows(source, 0, 1);
        checkFinite(values, source);
        await output.append(name, bytesOfValues(values));
      }
    }
    return await output.finish();
  } finally {
    await output.close();
  }
}

/** Whether a tensor of the file belongs to a layer. */
function isOf(tensor: string, { name }: LinearRecipe): boolean {
  return tensor.slice(0, tensor.lastIndexOf('.')) === name;
}

function bytesOf({ members }: LinearRecipe): number {
  return members.reduce((sum, { source }) => sum + storedBytes(source), 0);
}

/** Largest first: the last to be done are then small. */
function bySize(tasks: readonly LayerTask[]): LayerTask[] {
  return tasks.toSorted((a, b) => bytesOf(b.linear) - bytesOf(a.linear));
}

function bytesOfValues(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
