import { PickleError } from './pickleValues.ts';

/** Longest text line (protocol 0 numbers and names). */
const maximumLine = 4096;

/** Bytes of the largest integer that is read. */
const maximumIntegerBytes = 64;

/** A cursor over a pickle's bytes; every read is checked against their end. */
export class PickleReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  position: number;

  constructor(bytes: Uint8Array, position: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = position;
  }

  #advance(length: number): number {
    const start = this.position;
    if (length > this.#bytes.length - start) throw new PickleError('it ends in the middle of its pickle.');
    this.position = start + length;
    return start;
  }

  uint8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }

  int32(): number {
    return this.#view.getInt32(this.#advance(4), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  /** An unsigned 64-bit length. */
  length64(): number {
    const length = this.#view.getBigUint64(this.#advance(8), true);
    return length > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(length);
  }

  float64(): number {
    return this.#view.getFloat64(this.#advance(8), false);
  }

  bytes(length: number): Uint8Array {
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }

  text(length: number): string {
    return new TextDecoder().decode(this.bytes(length));
  }

  /** A two's-complement little-endian integer. */
  integer(length: number): number | bigint {
    if (length > maximumIntegerBytes) throw new PickleError(`it has an integer of ${length} bytes.`);
    let value = 0n;
    const bytes = this.bytes(length);
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
    if (length > 0 && bytes[length - 1]! >= 0x80) value -= 1n << BigInt(8 * length);
    return asNumber(value);
  }

  /** Protocol 0's texts: Latin-1 with escapes for all other characters. */
  escapedLine(): string {
    return this.line('latin1').replace(
      /\\u([0-9a-fA-F]{4})|\\U00(0[0-9a-fA-F]{5}|10[0-9a-fA-F]{4})/g,
      (_, short, long) => String.fromCodePoint(parseInt(String(short ?? long), 16)),
    );
  }

  /** The rest of a line. */
  line(encoding = 'utf-8'): string {
    const end = this.#bytes.subarray(this.position, this.position + maximumLine).indexOf(10);
    if (end === -1) throw new PickleError('it is not a torch file (no valid pickle).');
    const line = new TextDecoder(encoding).decode(this.bytes(end));
    this.#advance(1);
    return line;
  }

  /** A decimal integer on a line; protocol 0 also writes booleans so. */
  decimal(): number | bigint | boolean {
    const line = this.line();
    if (line === '00') return false;
    if (line === '01') return true;
    if (!/^[-+]?\d{1,80}L?$/.test(line)) throw new PickleError('it has an integer that is none.');
    return asNumber(BigInt(line.replace('L', '').replace('+', '')));
  }
}

function asNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
