/** A safetensors file whose tensors are written side by side, by several threads: everyone writes at its own places. */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { createHash, type Hash } from 'node:crypto';
import { bytesPerElement } from '../elementTypes.ts';
import type { PlannedTensor } from './recipe.ts';

/** Where a tensor begins and ends, in bytes. */
export interface Span {
  begin: number;
  end: number;
}

/** How the file will look; bytes: of all of it. */
export interface FilePlan {
  header: Buffer;
  spans: ReadonlyMap<string, Span>;
  bytes: number;
}

export function planFile(tensors: readonly PlannedTensor[]): FilePlan {
  const header: Record<string, unknown> = {};
  const spans: { name: string; begin: number; end: number }[] = [];
  let end = 0;
  for (const { name, dtype, shape } of tensors) {
    const begin = end;
    end += shape.reduce((product, size) => product * size, bytesPerElement[dtype]);
    header[name] = { dtype, shape, data_offsets: [begin, end] };
    spans.push({ name, begin, end });
  }
  const text = Buffer.from(JSON.stringify(header));
  const start = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, ' ');
  start.writeBigUInt64LE(BigInt(start.length - 8));
  text.copy(start, 8);
  const moved = spans.map(
    (span) => [span.name, { begin: start.length + span.begin, end: start.length + span.end }] as const,
  );
  return { header: start, spans: new Map(moved), bytes: start.length + end };
}

/** Writes some of the file's tensors, each from its beginning to its end. */
export class TensorWriter {
  private readonly handle: FileHandle;
  private readonly tensors: Map<string, Span & { position: number; hash: Hash }>;

  private constructor(handle: FileHandle, spans: ReadonlyMap<string, Span>) {
    this.handle = handle;
    this.tensors = new Map(
      [...spans].map(([name, span]) => [name, { ...span, position: span.begin, hash: createHash('sha256') }]),
    );
  }

  /** @param path a file that is there already */
  static async open(path: string, spans: ReadonlyMap<string, Span>): Promise<TensorWriter> {
    return new TensorWriter(await open(path, 'r+'), spans);
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
