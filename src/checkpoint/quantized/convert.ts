/**
 * Makes the quantised file of a checkpoint, a few rows at a time, so that memory does not depend on the model's size.
 */
import { createHash, type Hash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { throwIfCancelled } from '../../protocol/errors.ts';
import { bytesPerElement, widenToFloat32, type FloatType } from '../elementTypes.ts';
import { readExactly } from '../files.ts';
import { openForReading } from '../safetensors.ts';
import type { TensorLocation } from '../types.ts';
import { quantizeRows } from './blocks.ts';
import { checkFinite, plannedTensors, type LinearRecipe, type Recipe } from './recipe.ts';

/** Bytes of weights read at a time. */
const chunkBytes = 8 * 1024 * 1024;

export interface ConversionProgress {
  /** Bytes of the checkpoint's weights that have been read, of all. */
  done: number;
  total: number;
}

/**
 * Writes the quantised file; yields progress after every chunk, returns the SHA-256 of each tensor by its name.
 * @throws UserError for weights that cannot be read or are not finite, CancelledError when the signal fires
 */
export async function* writeQuantizedFile(
  recipe: Recipe,
  tensors: ReadonlyMap<string, TensorLocation>,
  path: string,
  signal?: AbortSignal,
): AsyncGenerator<ConversionProgress, Record<string, string>> {
  const output = await OutputFile.create(path, recipe);
  const input = new InputFiles();
  try {
    const memberOf = (name: string): TensorLocation => tensors.get(`${name}.weight`)!;
    const total = recipe.linears
      .flatMap(({ members }) => members)
      .reduce((bytes, { name }) => bytes + memberOf(name).length, 0);
    let done = 0;
    for (const { name, sources } of recipe.vectors) {
      for (const source of sources) {
        const values = await input.read(source, 0, source.shape[0]!);
        await output.append(name, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
      }
    }
    for (const linear of recipe.linears) {
      for (const { name, outFeatures } of linear.members) {
        const source = memberOf(name);
        const rowsAtOnce = Math.max(1, Math.floor(chunkBytes / (4 * linear.inFeatures)));
        for (let row = 0; row < outFeatures; row += rowsAtOnce) {
          throwIfCancelled(signal);
          const rows = Math.min(rowsAtOnce, outFeatures - row);
          await quantizeInto(
            output,
            linear,
            await input.read(source, row * linear.inFeatures, rows * linear.inFeatures),
          );
          done += (source.length * rows) / outFeatures;
          yield { done, total };
        }
      }
    }
    return await output.finish();
  } finally {
    await input.close();
    await output.close();
  }
}

async function quantizeInto(output: OutputFile, linear: LinearRecipe, values: Float32Array): Promise<void> {
  const { name, inFeatures, bits, asymmetric } = linear;
  const { weight, scales, zeroPoints } = quantizeRows(values, inFeatures, bits, asymmetric);
  await output.append(`${name}.weight`, weight);
  await output.append(`${name}.scales`, scales);
  if (zeroPoints) await output.append(`${name}.zero_points`, zeroPoints);
}

/** The checkpoint's files, each opened once. */
class InputFiles {
  private readonly handles = new Map<string, FileHandle>();

  /** Elements of a tensor as float32. */
  async read(location: TensorLocation, start: number, count: number): Promise<Float32Array> {
    let handle = this.handles.get(location.file);
    if (!handle) {
      handle = await openForReading(location.file);
      this.handles.set(location.file, handle);
    }
    const type = location.dtype as FloatType;
    const width = bytesPerElement[type];
    const bytes = await readExactly(handle, location.file, location.offset + start * width, count * width);
    const values = widenToFloat32(bytes, type);
    checkFinite(values, location.name, location.file);
    return values;
  }

  async close(): Promise<void> {
    for (const handle of this.handles.values()) await handle.close();
  }
}

/** A safetensors file whose tensors grow side by side. */
class OutputFile {
  private readonly handle: FileHandle;
  private readonly tensors: Map<string, { position: number; end: number; hash: Hash }>;

  private constructor(handle: FileHandle, tensors: OutputFile['tensors']) {
    this.handle = handle;
    this.tensors = tensors;
  }

  static async create(path: string, recipe: Recipe): Promise<OutputFile> {
    const header: Record<string, unknown> = {};
    const spans: { name: string; begin: number; end: number }[] = [];
    let end = 0;
    for (const { name, dtype, shape } of plannedTensors(recipe)) {
      const begin = end;
      end += shape.reduce((product, size) => product * size, bytesPerElement[dtype]);
      header[name] = { dtype, shape, data_offsets: [begin, end] };
      spans.push({ name, begin, end });
    }
    const text = Buffer.from(JSON.stringify(header));
    const start = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, ' ');
    start.writeBigUInt64LE(BigInt(start.length - 8));
    text.copy(start, 8);
    const handle = await open(path, 'wx');
    await handle.write(start, 0, start.length, 0);
    const tensors = spans.map(
      (span) =>
        [
          span.name,
          { position: start.length + span.begin, end: start.length + span.end, hash: createHash('sha256') },
        ] as const,
    );
    return new OutputFile(handle, new Map(tensors));
  }

  /** Adds bytes to a tensor. */
  async append(name: string, bytes: Uint8Array): Promise<void> {
    const tensor = this.tensors.get(name);
    if (!tensor || tensor.position + bytes.length > tensor.end) throw new Error(`No room for ${name}.`);
    let written = 0;
    while (written < bytes.length) {
      const rest = bytes.length - written;
      const { bytesWritten } = await this.handle.write(bytes, written, rest, tensor.position + written);
      written += bytesWritten;
    }
    tensor.hash.update(bytes);
    tensor.position += bytes.length;
  }

  /** Checks that every tensor is whole and on disk; returns their SHA-256. */
  async finish(): Promise<Record<string, string>> {
    await this.handle.sync();
    return Object.fromEntries(
      [...this.tensors].map(([name, { position, end, hash }]) => {
        if (position !== end) throw new Error(`The tensor ${name} was not written to its end.`);
        return [name, hash.digest('hex')];
      }),
    );
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}
