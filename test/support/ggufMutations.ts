/** Damaged GGUF files by number: the same seed and number give the same file. */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { tinyModel } from './tinyGgufModel.ts';
import { ggufBytes } from './ggufWriter.ts';
import type { GgufContent, MetadataValue, TensorEntry } from './ggufWriter.ts';

/** Numbers at which readers break. */
const extremes = [
  ...[
    0n,
    1n,
    2n,
    7n,
    8n,
    31n,
    64n,
    255n,
    256n,
    65535n,
    65536n,
    2n ** 24n,
    2n ** 31n - 1n,
    2n ** 31n,
    2n ** 32n - 1n,
  ],
  ...[
    2n ** 32n,
    2n ** 40n,
    2n ** 48n,
    2n ** 53n,
    2n ** 60n,
    2n ** 62n,
    2n ** 63n - 1n,
    2n ** 63n,
    2n ** 64n - 1n,
  ],
];

class Random {
  readonly #generator;

  constructor(seed: number, index: number) {
    this.#generator = xoroshiro128plus((seed * 1_000_003 + index) | 0);
    for (let i = 0; i < 8; i++) this.#generator.next();
  }

  /** A whole number from 0 to `below` - 1. */
  below(below: number): number {
    return (this.#generator.next() >>> 0) % below;
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

/** Writes damaged file `index` to `path` and says what was done to it. */
export function writeMutation(path: string, seed: number, index: number): string {
  const random = new Random(seed, index);
  const said: string[] = [];
  const model = tinyModel();
  const content = random.below(3) === 0 ? restructured(model, random, said) : model;
  let bytes = ggufBytes(content);
  // Behind the header lie weights, of which any bytes are sound.
  const headerBytes = bytes.length - content.tensors!.reduce((sum, { data }) => sum + data.length, 0);
  const times = said.length > 0 ? random.below(2) : 1 + random.below(3);
  for (let i = 0; i < times; i++) bytes = changed(bytes, headerBytes, random, said);
  const descriptor = openSync(path, 'w');
  writeSync(descriptor, bytes);
  // Zeros to the end, which take no space: whatever a length says, the file has it.
  if (random.below(6) === 0) {
    ftruncateSync(descriptor, 2 ** 34);
    said.push('16 GiB of zeros behind');
  }
  closeSync(descriptor);
  return said.join('; ');
}

function changed(bytes: Buffer, headerBytes: number, random: Random, said: string[]): Buffer {
  const at = random.below(Math.min(headerBytes, bytes.length));
  switch (random.below(7)) {
    case 0: {
      const count = 1 + random.below(8);
      for (let i = 0; i < count; i++)
        bytes[random.below(Math.min(headerBytes, bytes.length))] = random.below(256);
      said.push(`${count} bytes`);
      return bytes;
    }
    case 1: {
      const value = random.of(extremes);
      if (at + 8 > bytes.length) return bytes;
      bytes.writeBigUInt64LE(value, at);
      said.push(`64 bits at ${at}: ${value}`);
      return bytes;
    }
    case 2: {
      const value = Number(random.of(extremes) & 0xffffffffn);
      if (at + 4 > bytes.length) return bytes;
      bytes.writeUInt32LE(value, at);
      said.push(`32 bits at ${at}: ${value}`);
      return bytes;
    }
    case 3: {
      // one of the numbers of the header's first 24 bytes
      const value = random.of(extremes);
      bytes.writeBigUInt64LE(value, 8 * (1 + random.below(2)));
      said.push(`a count: ${value}`);
      return bytes;
    }
    case 4:
      said.push(`cut at ${at}`);
      return bytes.subarray(0, at);
    case 5: {
      const length = 1 + random.below(64);
      said.push(`${length} bytes missing at ${at}`);
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    }
    default: {
      const length = 1 + random.below(200);
      said.push(`${length} bytes twice at ${at}`);
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    }
  }
}

/** A file that is written correctly and says something wrong. */
function restructured(model: GgufContent, random: Random, said: string[]): GgufContent {
  const metadata = [...model.metadata!];
  const tensors = [...model.tensors!];
  const entry = random.below(metadata.length);
  const [key, value] = metadata[entry]!;
  const place = random.below(tensors.length);
  const tensor = tensors[place]!;
  const replace = (changes: Partial<TensorEntry>): void => {
    tensors[place] = { ...tensor, ...changes };
    said.push(`${tensor.name}: ${Object.keys(changes).join()}`);
  };
  switch (random.below(9)) {
    case 0:
      metadata.splice(entry, 1);
      said.push(`without ${key}`);
      break;
    case 1:
      metadata.push([key, value]);
      said.push(`${key} twice`);
      break;
    case 2:
      metadata[entry] = [key, otherValue(random)];
      said.push(`another value of ${key}`);
      break;
    case 3:
      metadata[entry] = [key, metadata[random.below(metadata.length)]![1]];
      said.push(`a value of another key for ${key}`);
      break;
    case 4:
      replace({ dimensions: Array.from({ length: random.below(6) }, () => random.of(extremes)) });
      break;
    case 5:
      replace({ type: random.below(48) });
      break;
    case 6:
      replace({ offset: random.of(extremes) });
      break;
    case 7:
      replace({ name: random.of(tensors).name });
      break;
    default:
      tensors.splice(place, 1);
      said.push(`without ${tensor.name}`);
  }
  return { ...model, metadata, tensors };
}

function otherValue(random: Random): MetadataValue {
  const number = random.of(extremes);
  switch (random.below(6)) {
    case 0:
      return ['uint64', number];
    case 1:
      return ['int32', Number(BigInt.asIntN(32, number))];
    case 2:
      return ['float32', random.of([0, -1, NaN, Infinity, 1e-45, 1e38])];
    case 3:
      return ['string', random.of(['', 'llama', '0', '\u0000\u001b[2J', 'x'.repeat(100_000)])];
    case 4:
      return ['array', 'int32', Array.from({ length: random.below(300) }, (_, i) => i)];
    default:
      return ['array', 'string', Array.from({ length: random.below(300) }, (_, i) => String(i % 200))];
  }
}
