/**
 * Types of -1, 0 and 1 (TQ1_0: five of them in a byte, TQ2_0: four) with one float16 scale for 256 values, and of -1 and
 * 1 (Q1_0: a bit each) with one for 128. The layouts are those of ggml's block_tq1_0, ... (ggml-common.h).
 */
import { float16Table } from '../../elementTypes.ts';
import type { BlockKind, TakeApart } from './blockFormat.ts';

/**
 * `digits` digits to base 3 of each of `count` bytes, the highest digit of all bytes first. A byte is the fraction
 * byte / 256: times 3, what is carried over is the next digit.
 */
function digitsOf(
  bytes: Uint8Array,
  from: number,
  count: number,
  digits: number,
  codes: Uint8Array,
  to: number,
): void {
  for (let i = 0; i < count; i++) {
    let fraction = bytes[from + i]!;
    for (let digit = 0; digit < digits; digit++) {
      codes[to + digit * count + i] = 7 + ((fraction * 3) >> 8);
      fraction = (fraction * 3) & 255;
    }
  }
}

const tq10: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  for (let block = 0, at = 0; block < count; block++, at += 54) {
    scales.fill(half[bytes[at + 52]! | (bytes[at + 53]! << 8)]!, 8 * block, 8 * block + 8);
    digitsOf(bytes, at, 32, 5, codes, 256 * block);
    digitsOf(bytes, at + 32, 16, 5, codes, 256 * block + 160);
    digitsOf(bytes, at + 48, 4, 4, codes, 256 * block + 240);
  }
};

const tq20: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  for (let block = 0, at = 0; block < count; block++, at += 66) {
    scales.fill(half[bytes[at + 64]! | (bytes[at + 65]! << 8)]!, 8 * block, 8 * block + 8);
    for (let part = 0, to = 256 * block; part < 2; part++, to += 128) {
      for (let i = 0; i < 32; i++) {
        const four = bytes[at + 32 * part + i]!;
        codes[to + i] = 7 + (four & 3);
        codes[to + 32 + i] = 7 + ((four >> 2) & 3);
        codes[to + 64 + i] = 7 + ((four >> 4) & 3);
        codes[to + 96 + i] = 7 + (four >> 6);
      }
    }
  }
};

const q10: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  for (let block = 0, at = 0; block < count; block++, at += 18) {
    scales.fill(half[bytes[at]! | (bytes[at + 1]! << 8)]!, 4 * block, 4 * block + 4);
    for (let i = 0, to = 128 * block; i < 128; i++) {
      codes[to + i] = (bytes[at + 2 + (i >> 3)]! >> (i & 7)) & 1 ? 9 : 7;
    }
  }
};

const layout = { bits: 4, blockSize: 32, mins: false } as const;

export const ternaryQuants = {
  Q1_0: { values: 128, bytes: 18, layout, zero: 8, takeApart: q10 },
  TQ1_0: { values: 256, bytes: 54, layout, zero: 8, takeApart: tq10 },
  TQ2_0: { values: 256, bytes: 66, layout, zero: 8, takeApart: tq20 },
} satisfies Record<string, BlockKind>;
