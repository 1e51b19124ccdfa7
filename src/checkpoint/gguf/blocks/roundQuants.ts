/**
 * The first generation of block types: 32 values with a float16 scale and, in the `_1` types, a float16 minimum. The
 * layouts are those of ggml's block_q4_0, block_q4_1, ... (ggml-common.h).
 */
import { float16Table } from '../../elementTypes.ts';
import type { BlockKind, TakeApart } from './blockFormat.ts';

/** The first 16 values are the low halves of 16 bytes, the other 16 the high halves. */
function halves(bytes: Uint8Array, from: number, codes: Uint8Array, to: number): void {
  for (let i = 0; i < 16; i++) {
    const pair = bytes[from + i]!;
    codes[to + i] = pair & 15;
    codes[to + 16 + i] = pair >> 4;
  }
}

/** The same with a fifth bit each, in 4 bytes; 16, their middle, becomes 128. */
function halvesAndFifthBits(
  bytes: Uint8Array,
  bits: number,
  from: number,
  codes: Uint8Array,
  to: number,
): void {
  const fifth = bytes[bits]! | (bytes[bits + 1]! << 8) | (bytes[bits + 2]! << 16) | (bytes[bits + 3]! << 24);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[from + i]!;
    codes[to + i] = 112 + ((pair & 15) | (((fifth >> i) & 1) << 4));
    codes[to + 16 + i] = 112 + ((pair >> 4) | (((fifth >> (16 + i)) & 1) << 4));
  }
}

const q40: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  for (let block = 0, at = 0; block < count; block++, at += 18) {
    scales[block] = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    halves(bytes, at + 2, codes, 32 * block);
  }
};

const q41: TakeApart = (bytes, count, codes, scales, mins) => {
  const half = float16Table();
  for (let block = 0, at = 0; block < count; block++, at += 20) {
    scales[block] = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    mins[block] = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    halves(bytes, at + 4, codes, 32 * block);
  }
};

const q50: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  for (let block = 0, at = 0; block < count; block++, at += 22) {
    scales[block] = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    halvesAndFifthBits(bytes, at + 2, at + 6, codes, 32 * block);
  }
};

const q51: TakeApart = (bytes, count, codes, scales, mins) => {
  const half = float16Table();
  for (let block = 0, at = 0; block < count; block++, at += 24) {
    scales[block] = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    mins[block] = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    halvesAndFifthBits(bytes, at + 4, at + 8, codes, 32 * block);
  }
};

const q80: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  for (let block = 0, at = 0; block < count; block++, at += 34) {
    scales[block] = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    for (let i = 0, to = 32 * block; i < 32; i++) codes[to + i] = bytes[at + 2 + i]! ^ 128;
  }
};

const bits4 = { bits: 4, blockSize: 32, mins: false } as const;
const bits8 = { bits: 8, blockSize: 32, mins: false } as const;

export const roundQuants = {
  Q4_0: { values: 32, bytes: 18, layout: bits4, zero: 8, takeApart: q40 },
  Q4_1: { values: 32, bytes: 20, layout: { ...bits4, mins: true }, zero: 0, takeApart: q41 },
  Q5_0: { values: 32, bytes: 22, layout: bits8, zero: 128, takeApart: q50 },
  Q5_1: { values: 32, bytes: 24, layout: { ...bits8, mins: true }, zero: 112, takeApart: q51 },
  Q8_0: { values: 32, bytes: 34, layout: bits8, zero: 128, takeApart: q80 },
} satisfies Record<string, BlockKind>;
