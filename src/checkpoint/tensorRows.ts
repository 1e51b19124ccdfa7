/** Rows of stored tensors as float32, whatever they are stored as: float types, quantised blocks, interleaved heads. */
import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { UserError } from '../protocol/errors.ts';
import { bytesPerElement, isFloatType, widenToFloat32 } from './elementTypes.ts';
import { blockFormats, isBlockType } from './gguf/blocks/formats.ts';
import { openForReading } from './safetensors.ts';
import type { TensorLocation } from './types.ts';

/** The rows of one tensor; its file stays open until it is disposed of. */
export class TensorRows {
  readonly rows: number;
  /** Values of a row: the last dimension. A vector is one row. */
  readonly columns: number;
  readonly #handle: FileHandle;
  readonly #location: TensorLocation;
  readonly #rowBytes: number;
  readonly #widen: (bytes: Uint8Array<ArrayBuffer>) => Float32Array<ArrayBuffer>;

  private constructor(handle: FileHandle, location: TensorLocation) {
    const { dtype, shape } = location;
    this.#handle = handle;
    this.#location = location;
    this.columns = shape.at(-1) ?? 1;
    this.rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
    if (isBlockType(dtype)) {
      const { values, bytes, dequantize } = blockFormats[dtype];
      this.#rowBytes = (this.columns / values) * bytes;
      this.#widen = dequantize;
    } else if (isFloatType(dtype)) {
      this.#rowBytes = this.columns * bytesPerElement[dtype];
      this.#widen = (bytes) => widenToFloat32(bytes, dtype);
    } else {
      throw new UserError(
        `Tensor "${location.name}" of ${location.file} has the element type ${dtype}, which holds no weights.`,
      );
    }
  }

  /** @throws UserError if the file cannot be read or the tensor's type holds no weights */
  static async open(location: TensorLocation): Promise<TensorRows> {
    const handle = await openForReading(location.file);
    try {
      return new TensorRows(handle, location);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /**
   * Rows as the model has them: (count, columns) float32, bit-equal to what the reference of the format gives.
   *
   * @throws UserError if the file ends before
   */
  read(start: number, count: number): Float32Array<ArrayBuffer> {
    return this.#widen(this.readStored(start, count));
  }

  /**
   * The bytes of rows as they are stored, in the model's order.
   * Blocks: a read takes microseconds, a trip through the thread pool twenty times that.
   *
   * @throws UserError if the file ends before
   */
  readStored(start: number, count: number): Uint8Array<ArrayBuffer> {
    if (start < 0 || start + count > this.rows) {
      throw new Error(
        `Rows ${start} to ${start + count} of "${this.#location.name}", which has ${this.rows}.`,
      );
    }
    const headDim = this.#location.interleavedHeadDim;
    if (headDim === undefined) return this.#readInFile(start, count);
    if (this.#location.shape.length === 1)
      return ungrouped(this.#readInFile(0, 1), this.#rowBytes / this.columns, headDim, 0, this.columns);
    // Whole heads hold all the rows that are asked for.
    const first = Math.floor(start / headDim) * headDim;
    const stored = this.#readInFile(first, Math.ceil((start + count) / headDim) * headDim - first);
    return ungrouped(stored, this.#rowBytes, headDim, start - first, count);
  }

  #readInFile(start: number, count: number): Uint8Array<ArrayBuffer> {
    const { file, name, offset } = this.#location;
    const bytes = new Uint8Array(new ArrayBuffer(count * this.#rowBytes));
    let done = 0;
    while (done < bytes.length) {
      const position = offset + start * this.#rowBytes + done;
      const read = readSync(this.#handle.fd, bytes, done, Math.min(bytes.length - done, 2 ** 30), position);
      if (read === 0) {
        throw new UserError(
          `${file} ends at byte ${position}, inside tensor "${name}": it was changed. Load the model again.`,
        );
      }
      done += read;
    }
    return bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

/**
 * Rows of whole heads from interleaved pairs (row 2j + s) back to two halves (row s * headDim / 2 + j).
 *
 * @param width bytes of a row
 * @param skip first row of the result
 */
function ungrouped(
  stored: Uint8Array<ArrayBuffer>,
  width: number,
  headDim: number,
  skip: number,
  count: number,
): Uint8Array<ArrayBuffer> {
  const rows = new Uint8Array(count * width);
  for (let i = 0; i < count; i++) {
    const row = skip + i;
    const inHead = row % headDim;
    const from = row - inHead + ((2 * inHead) % headDim) + Math.floor((2 * inHead) / headDim);
    rows.set(stored.subarray(from * width, (from + 1) * width), i * width);
  }
  return rows;
}

/**
 * Rows of a tensor, (count, columns) float32; a vector is one row. For many reads of one tensor open its TensorRows.
 *
 * @throws UserError if the file cannot be read, ends before, or the tensor's type holds no weights
 */
export async function readRows(
  location: TensorLocation,
  start: number,
  count: number,
): Promise<Float32Array<ArrayBuffer>> {
  await using rows = await TensorRows.open(location);
  return rows.read(start, count);
}

/** Values in memory at a time while a tensor is hashed. */
const valuesAtATime = 4 * 1024 * 1024;

/** The sha256 of a tensor's values as float32 little-endian, row-major. */
export async function hashValues(location: TensorLocation): Promise<string> {
  await using tensor = await TensorRows.open(location);
  const hash = createHash('sha256');
  const step = Math.max(1, Math.floor(valuesAtATime / tensor.columns));
  for (let row = 0; row < tensor.rows; row += step) {
    const values = tensor.read(row, Math.min(step, tensor.rows - row));
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest('hex');
}
