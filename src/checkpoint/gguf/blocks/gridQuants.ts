/**
 * Types of 1 to 3 bits: groups of 4 or 8 values are points of a grid (codeBooks.ts), with signs and scales of their own.
 * The layouts are those of ggml's block_iq2_xxs to block_iq1_m (ggml-common.h). Whole numbers up to 62: 8-bit codes
 * hold them exactly.
 */
import { float16Table } from '../../elementTypes.ts';
import type { BlockKind, TakeApart } from './blockFormat.ts';
import { grids } from './codeBooks.ts';

/** Seven signs and an eighth that makes the number of minus signs even. */
const signsOf = Uint8Array.from({ length: 128 }, (_, seven) => {
  let ones = 0;
  for (let bits = seven; bits > 0; bits >>= 1) ones += bits & 1;
  return seven | ((ones & 1) << 7);
});

/** `count` magnitudes of a grid with their signs (a bit each), as codes around 128. */
function place(
  grid: Int8Array,
  from: number,
  count: number,
  signs: number,
  codes: Uint8Array,
  to: number,
): void {
  for (let i = 0; i < count; i++) {
    const magnitude = grid[from + i]!;
    codes[to + i] = (signs >> i) & 1 ? 128 - magnitude : 128 + magnitude;
  }
}

const uint16 = (bytes: Uint8Array, at: number): number => bytes[at]! | (bytes[at + 1]! << 8);
const uint32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;

const iq2xxs: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  const grid = grids.iq2xxs();
  for (let block = 0, at = 0; block < count; block++, at += 66) {
    const scale = half[uint16(bytes, at)]!;
    for (let i = 0; i < 8; i++) {
      const points = at + 2 + 8 * i;
      const rest = uint32(bytes, points + 4);
      scales[8 * block + i] = Math.fround(scale * (0.5 + (rest >>> 28))) * 0.25;
      for (let j = 0; j < 4; j++) {
        const signs = signsOf[(rest >>> (7 * j)) & 127]!;
        place(grid, 8 * bytes[points + j]!, 8, signs, codes, 256 * block + 32 * i + 8 * j);
      }
    }
  }
};

const iq2xs: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  const grid = grids.iq2xs();
  for (let block = 0, at = 0; block < count; block++, at += 74) {
    const scale = half[uint16(bytes, at)]!;
    for (let i = 0; i < 16; i++) {
      const factor = (bytes[at + 66 + (i >> 1)]! >> (4 * (i & 1))) & 15;
      scales[16 * block + i] = Math.fround(scale * (0.5 + factor)) * 0.25;
    }
    for (let i = 0; i < 32; i++) {
      const point = uint16(bytes, at + 2 + 2 * i);
      place(grid, 8 * (point & 511), 8, signsOf[point >> 9]!, codes, 256 * block + 8 * i);
    }
  }
};

const iq2s: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  const grid = grids.iq2s();
  for (let block = 0, at = 0; block < count; block++, at += 82) {
    const scale = half[uint16(bytes, at)]!;
    for (let i = 0; i < 16; i++) {
      const factor = (bytes[at + 74 + (i >> 1)]! >> (4 * (i & 1))) & 15;
      scales[16 * block + i] = Math.fround(scale * (0.5 + factor)) * 0.25;
    }
    for (let i = 0; i < 32; i++) {
      const upper = (bytes[at + 66 + (i >> 2)]! >> (2 * (i & 3))) & 3;
      const point = bytes[at + 2 + i]! | (upper << 8);
      place(grid, 8 * point, 8, bytes[at + 34 + i]!, codes, 256 * block + 8 * i);
    }
  }
};

const iq3xxs: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  const grid = grids.iq3xxs();
  for (let block = 0, at = 0; block < count; block++, at += 98) {
    const scale = half[uint16(bytes, at)]!;
    for (let i = 0; i < 8; i++) {
      const rest = uint32(bytes, at + 66 + 4 * i);
      scales[8 * block + i] = Math.fround(scale * (0.5 + (rest >>> 28))) * 0.5;
      for (let j = 0; j < 8; j++) {
        const signs = signsOf[(rest >>> (7 * (j >> 1))) & 127]! >> (4 * (j & 1));
        place(grid, 4 * bytes[at + 2 + 8 * i + j]!, 4, signs, codes, 256 * block + 32 * i + 4 * j);
      }
    }
  }
};

const iq3s: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  const grid = grids.iq3s();
  for (let block = 0, at = 0; block < count; block++, at += 110) {
    const scale = half[uint16(bytes, at)]!;
    for (let i = 0; i < 8; i++) {
      const factor = (bytes[at + 106 + (i >> 1)]! >> (4 * (i & 1))) & 15;
      scales[8 * block + i] = scale * (1 + 2 * factor);
    }
    for (let i = 0; i < 64; i++) {
      const ninth = (bytes[at + 66 + (i >> 3)]! >> (i & 7)) & 1;
      const signs = bytes[at + 74 + (i >> 1)]! >> (4 * (i & 1));
      place(grid, 4 * (bytes[at + 2 + i]! | (ninth << 8)), 4, signs, codes, 256 * block + 4 * i);
    }
  }
};

/** Eight of -1, 0 and 1, shifted up or down by 1/8: in eighths, as codes around 128. */
function placeShifted(grid: Int8Array, point: number, down: boolean, codes: Uint8Array, to: number): void {
  const shifted = down ? 127 : 129;
  for (let i = 0; i < 8; i++) codes[to + i] = shifted + 8 * grid[8 * point + i]!;
}

const iq1s: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  const grid = grids.iq1s();
  for (let block = 0, at = 0; block < count; block++, at += 50) {
    const scale = half[uint16(bytes, at)]!;
    for (let i = 0; i < 8; i++) {
      const rest = uint16(bytes, at + 34 + 2 * i);
      scales[8 * block + i] = (scale * (2 * ((rest >> 12) & 7) + 1)) / 8;
      for (let j = 0; j < 4; j++) {
        const point = bytes[at + 2 + 4 * i + j]! | (((rest >> (3 * j)) & 7) << 8);
        placeShifted(grid, point, rest >= 32768, codes, 256 * block + 32 * i + 8 * j);
      }
    }
  }
};

const iq1m: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  const grid = grids.iq1s();
  for (let block = 0, at = 0; block < count; block++, at += 56) {
    // The block's scale is made of the upper quarters of four 16-bit numbers.
    const packed = [0, 2, 4, 6].map((offset) => uint16(bytes, at + 48 + offset));
    const scale = half[packed.reduce((bits, number, i) => bits | ((number >> 12) << (4 * i)), 0)]!;
    for (let i = 0; i < 16; i++) {
      scales[16 * block + i] = (scale * (2 * ((packed[i >> 2]! >> (3 * (i & 3))) & 7) + 1)) / 8;
    }
    for (let i = 0; i < 32; i++) {
      const rest = (bytes[at + 32 + (i >> 1)]! >> (4 * (i & 1))) & 15;
      const point = bytes[at + i]! | ((rest & 7) << 8);
      placeShifted(grid, point, rest >= 8, codes, 256 * block + 8 * i);
    }
  }
};

const by32 = { bits: 8, blockSize: 32, mins: false } as const;
const by16 = { bits: 8, blockSize: 16, mins: false } as const;

export const gridQuants = {
  IQ2_XXS: { values: 256, bytes: 66, layout: by32, zero: 128, takeApart: iq2xxs },
  IQ2_XS: { values: 256, bytes: 74, layout: by16, zero: 128, takeApart: iq2xs },
  IQ2_S: { values: 256, bytes: 82, layout: by16, zero: 128, takeApart: iq2s },
  IQ3_XXS: { values: 256, bytes: 98, layout: by32, zero: 128, takeApart: iq3xxs },
  IQ3_S: { values: 256, bytes: 110, layout: by32, zero: 128, takeApart: iq3s },
  IQ1_S: { values: 256, bytes: 50, layout: by32, zero: 128, takeApart: iq1s },
  IQ1_M: { values: 256, bytes: 56, layout: by16, zero: 128, takeApart: iq1m },
} satisfies Record<string, BlockKind>;
