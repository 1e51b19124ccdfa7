/**
 * Reads the numbers and texts of a GGUF header one after the other. Whatever is read lies inside the file and inside
 * the largest header that is accepted; a length is compared with what is left before anything is allocated for it.
 */
import { readSync } from 'node:fs';
import { UserError } from '../../protocol/errors.ts';

/** Headers of models with 262,144 tokens have 7 MB, those with as many merges 20 MB. */
export const maximumHeaderBytes = 64 * 1024 * 1024;

/** Bytes read at a time. */
const windowBytes = 1024 * 1024;

export class HeaderReader {
  readonly path: string;
  /** Bytes of the file. */
  readonly size: number;
  /** The next byte. */
  position = 0;
  /** What is being read, for messages. */
  within = 'its first bytes';
  readonly #descriptor: number;
  #start = 0;
  #at = 0;
  #window = new DataView(new ArrayBuffer(0));

  constructor(descriptor: number, path: string, size: number) {
    this.#descriptor = descriptor;
    this.path = path;
    this.size = size;
  }

  /** Bytes that the rest of the header can have at most. */
  get left(): number {
    return Math.min(this.size, maximumHeaderBytes) - this.position;
  }

  /** A UserError about this file. */
  error(what: string): UserError {
    return new UserError(`${this.path} is not a valid GGUF file: ${what}. Download it again.`);
  }

  /** @throws UserError unless that many bytes are left */
  require(length: number): void {
    if (length <= this.left) return;
    if (this.position + length <= this.size) {
      throw this.error(
        `${this.within} would end ${this.position + length} bytes into its header; at most ${maximumHeaderBytes} are read`,
      );
    }
    throw new UserError(
      `${this.path} is incomplete or damaged: ${this.within} would end at byte ${this.position + length}, ` +
        `the file has ${this.size}. Download it again.`,
    );
  }

  /** Moves behind the next bytes; they lie at `#at` of the window that is returned. */
  #take(length: number): DataView<ArrayBuffer> {
    this.#at = this.position - this.#start;
    if (this.#at < 0 || this.#at + length > this.#window.byteLength) {
      this.require(length);
      this.#fill();
      this.#at = 0;
    }
    this.position += length;
    return this.#window;
  }

  #fill(): void {
    const bytes = new Uint8Array(Math.min(windowBytes, this.left));
    this.#read(bytes);
    this.#start = this.position;
    this.#window = new DataView(bytes.buffer);
  }

  #read(into: Uint8Array): void {
    let done = 0;
    while (done < into.length) {
      const read = readSync(this.#descriptor, into, done, into.length - done, this.position + done);
      if (read === 0) throw new UserError(`${this.path} became shorter while it was read.`);
      done += read;
    }
  }

  uint8 = (): number => this.#take(1).getUint8(this.#at);
  int8 = (): number => this.#take(1).getInt8(this.#at);
  uint16 = (): number => this.#take(2).getUint16(this.#at, true);
  int16 = (): number => this.#take(2).getInt16(this.#at, true);
  uint32 = (): number => this.#take(4).getUint32(this.#at, true);
  int32 = (): number => this.#take(4).getInt32(this.#at, true);
  float32 = (): number => this.#take(4).getFloat32(this.#at, true);
  float64 = (): number => this.#take(8).getFloat64(this.#at, true);
  uint64 = (): bigint => this.#take(8).getBigUint64(this.#at, true);
  int64 = (): bigint => this.#take(8).getBigInt64(this.#at, true);

  /** An unsigned 64-bit count, length or offset; above 2^53 it is rounded (and beyond every limit). */
  count(): number {
    const window = this.#take(8);
    return window.getUint32(this.#at + 4, true) * 2 ** 32 + window.getUint32(this.#at, true);
  }

  skip(length: number): void {
    this.require(length);
    this.position += length;
  }

  /** A copy of the next bytes. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    this.require(length);
    const bytes = new Uint8Array(length);
    this.#read(bytes);
    this.position += length;
    return bytes;
  }

  /** A text behind its length. */
  text(): string {
    const length = this.count();
    this.require(length);
    if (length > windowBytes) return Buffer.from(this.bytes(length).buffer).toString('utf8');
    const { buffer } = this.#take(length);
    return Buffer.from(buffer, this.#at, length).toString('utf8');
  }

  /** The name of a key or tensor. */
  name(most: number): string {
    const length = this.count();
    if (length === 0 || length > most) {
      throw this.error(`${this.within} has a name of ${length} bytes; 1 to ${most} are allowed`);
    }
    this.position -= 8;
    return this.text();
  }
}
