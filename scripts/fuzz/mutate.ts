/** Damage by numbers: the same seed gives the same damage. JSON is also damaged as what it means, value by value. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';

/** Lengths and offsets that readers trip over. */
const edges = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fffffffn,
  0xffffffffn,
  2n ** 53n,
  2n ** 62n,
  2n ** 64n - 1n,
];

const values: readonly unknown[] = [
  ...[null, true, '', 'x', [], {}, [[]], [null], { a: 1 }],
  ...[0, -1, 1.5, 1e308, -1e308, 2 ** 31, 2 ** 53, 1e15],
  ...[
    'x'.repeat(100_000),
    '\u0000',
    '\ud800',
    '../../etc/passwd',
    '](command:x)',
    '(\\w+\\s?)+$',
    '__proto__',
  ],
  Array.from({ length: 1000 }, (_, index) => index),
];

class Dice {
  readonly #generator: RandomGenerator;
  constructor(seed: number) {
    this.#generator = xoroshiro128plus(seed);
  }
  /** A whole number from 0, less than n. */
  below(n: number): number {
    return n <= 1 ? 0 : uniformInt(this.#generator, 0, n - 1);
  }
  of<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }
}

/** A damaged copy. */
export function mutate(bytes: Uint8Array, seed: number): Uint8Array {
  const dice = new Dice(seed);
  const first = bytes.find((byte) => byte > 32);
  const isJson = first === 0x7b || first === 0x5b;
  if (isJson && dice.below(3) > 0) {
    try {
      const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
      const times = 1 + dice.below(3);
      let damaged = value;
      for (let time = 0; time < times; time++) damaged = mutateJson(damaged, dice);
      return new TextEncoder().encode(JSON.stringify(damaged));
    } catch {
      // Lines of JSON, or a header behind a length: as bytes.
    }
  }
  let result: Buffer = Buffer.from(bytes);
  for (let time = 1 + dice.below(4); time > 0; time--) result = mutateBytes(result, dice);
  return result;
}

function mutateBytes(bytes: Buffer, dice: Dice): Buffer {
  const at = dice.below(bytes.length);
  const to = at + dice.below(Math.min(64, bytes.length - at) + 1);
  switch (dice.below(8)) {
    case 0: // a bit
      if (bytes.length > 0) bytes[at]! ^= 1 << dice.below(8);
      return bytes;
    case 1: // a byte
      if (bytes.length > 0) bytes[at] = dice.below(256);
      return bytes;
    case 2: // cut off
      return bytes.subarray(0, at);
    case 3: // a part is missing
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
    case 4: // a part is there twice, or a thousand times
      return Buffer.concat([
        bytes.subarray(0, to),
        ...Array.from({ length: dice.below(20) === 0 ? 1000 : 1 }, () => bytes.subarray(at, to)),
        bytes.subarray(to),
      ]);
    case 5: // a number at the edge, in either order of bytes
      if (bytes.length >= 8) {
        const place = dice.below(bytes.length - 7);
        const edge = dice.of(edges);
        const width = dice.of([1, 2, 4, 8]);
        for (let index = 0; index < width; index++) {
          const shift = BigInt(8 * (dice.below(2) === 0 ? index : width - 1 - index));
          bytes[place + index] = Number((edge >> shift) & 0xffn);
        }
      }
      return bytes;
    case 6: // a part from elsewhere
      bytes.copy(bytes, dice.below(bytes.length), at, to);
      return bytes;
    default: // rubbish goes in
      return Buffer.concat([
        bytes.subarray(0, at),
        Buffer.from(Array.from({ length: 1 + dice.below(16) }, () => dice.below(256))),
        bytes.subarray(at),
      ]);
  }
}

/** One value somewhere in it is replaced, removed, repeated, nested or renamed. */
function mutateJson(value: unknown, dice: Dice): unknown {
  const isList = Array.isArray(value);
  if (typeof value !== 'object' || value === null || dice.below(12) === 0) return replacement(value, dice);
  const keys = Object.keys(value);
  if (keys.length === 0) return replacement(value, dice);
  const key = dice.of(keys);
  const old = (value as Record<string, unknown>)[key];
  const inside = typeof old === 'object' && old !== null && dice.below(4) > 0;
  if (isList) {
    const copy = [...(value as unknown[])];
    const index = Number(key);
    if (inside) copy[index] = mutateJson(old, dice);
    else {
      const kind = dice.below(4);
      if (kind === 0) copy.splice(index, 1);
      else if (kind === 1) copy.splice(index, 0, old);
      else copy[index] = replacement(old, dice);
    }
    return copy;
  }
  const entries = Object.entries(value).flatMap(([name, item]): [string, unknown][] => {
    if (name !== key) return [[name, item]];
    if (inside) return [[name, mutateJson(item, dice)]];
    const kind = dice.below(6);
    if (kind === 0) return [];
    if (kind === 1) return [[dice.of(keys), item]];
    return [[name, replacement(item, dice)]];
  });
  return Object.fromEntries(entries);
}

function replacement(value: unknown, dice: Dice): unknown {
  if (dice.below(20) === 0) {
    let nested = value;
    for (let depth = 0; depth < 5000; depth++) nested = [nested];
    return nested;
  }
  if (typeof value === 'number' && dice.below(2) === 0)
    return value * dice.of([-1, 2, 1000, 1e9]) + dice.below(3);
  if (typeof value === 'string' && dice.below(3) === 0) return value.slice(dice.below(value.length));
  return dice.of(values);
}
