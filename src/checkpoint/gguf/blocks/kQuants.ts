/**
 * The "K" types: 256 values in 8 or 16 sub-blocks, whose scales (and minima) are small integers times a float16 scale
 * of the block. The layouts are those of ggml's block_q2_K to block_q6_K (ggml-common.h).
 */
import { float16Table } from '../../elementTypes.ts';
import type { BlockKind, TakeApart } from './blockFormat.ts';

const q2k: TakeApart = (bytes, count, codes, scales, mins) => {
  const half = float16Table();
  for (let block = 0, at = 0; block < count; block++, at += 84) {
    const scale = half[bytes[at + 80]! | (bytes[at + 81]! << 8)]!;
    const min = half[bytes[at + 82]! | (bytes[at + 83]! << 8)]!;
    for (let i = 0; i < 16; i++) {
      scales[16 * block + i] = scale * (bytes[at + i]! & 15);
      mins[16 * block + i] = -(min * (bytes[at + i]! >> 4));
    }
    for (let part = 0, to = 256 * block; part < 2; part++, to += 128) {
      const from = at + 16 + 32 * part;
      for (let i = 0; i < 32; i++) {
        const four = bytes[from + i]!;
        // 0 to 3 become 6 to 9, around 8
        codes[to + i] = 6 + (four & 3);
        codes[to + 32 + i] = 6 + ((four >> 2) & 3);
        codes[to + 64 + i] = 6 + ((four >> 4) & 3);
        codes[to + 96 + i] = 6 + (four >> 6);
      }
    }
  }
};

const q3k: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  for (let block = 0, at = 0; block < count; block++, at += 110) {
    const packed = at + 96;
    const scale = half[bytes[at + 108]! | (bytes[at + 109]! << 8)]!;
    for (let i = 0; i < 16; i++) {
      const low = (bytes[packed + (i & 7)]! >> (i < 8 ? 0 : 4)) & 15;
      const high = (bytes[packed + 8 + (i & 3)]! >> (2 * (i >> 2))) & 3;
      scales[16 * block + i] = scale * ((low | (high << 4)) - 32);
    }
    for (let row = 0; row < 8; row++) {
      // The third bits lie in the first 32 bytes, bit `row` of each.
      const from = at + 32 + 32 * (row >> 2);
      const shift = 2 * (row & 3);
      const to = 256 * block + 32 * row;
      for (let i = 0; i < 32; i++) {
        codes[to + i] = 4 + (((bytes[from + i]! >> shift) & 3) | (((bytes[at + i]! >> row) & 1) << 2));
      }
    }
  }
};

/** Q4_K and Q5_K: 8 scales and 8 minima of 6 bits in 12 bytes. */
function scalesAndMins(
  bytes: Uint8Array,
  at: number,
  scale: number,
  min: number,
  scales: Float32Array,
  mins: Float32Array,
  to: number,
): void {
  for (let i = 0; i < 4; i++) {
    const first = bytes[at + i]!;
    const second = bytes[at + 4 + i]!;
    const third = bytes[at + 8 + i]!;
    scales[to + i] = scale * (first & 63);
    mins[to + i] = -(min * (second & 63));
    scales[to + 4 + i] = scale * ((third & 15) | ((first >> 2) & 48));
    mins[to + 4 + i] = -(min * ((third >> 4) | ((second >> 2) & 48)));
  }
}

const q4k: TakeApart = (bytes, count, codes, scales, mins) => {
  const half = float16Table();
  for (let block = 0, at = 0; block < count; block++, at += 144) {
    const scale = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const min = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    scalesAndMins(bytes, at + 4, scale, min, scales, mins, 8 * block);
    for (let pair = 0; pair < 4; pair++) {
      const from = at + 16 + 32 * pair;
      const to = 256 * block + 64 * pair;
      for (let i = 0; i < 32; i++) {
        const two = bytes[from + i]!;
        codes[to + i] = two & 15;
        codes[to + 32 + i] = two >> 4;
      }
    }
  }
};

const q5k: TakeApart = (bytes, count, codes, scales, mins) => {
  const half = float16Table();
  for (let block = 0, at = 0; block < count; block++, at += 176) {
    const scale = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const min = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    scalesAndMins(bytes, at + 4, scale, min, scales, mins, 8 * block);
    const fifths = at + 16;
    for (let pair = 0; pair < 4; pair++) {
      const from = at + 48 + 32 * pair;
      const to = 256 * block + 64 * pair;
      const low = 2 * pair;
      for (let i = 0; i < 32; i++) {
        const two = bytes[from + i]!;
        const fifth = bytes[fifths + i]! >> low;
        // 0 to 31 become 112 to 143, around 128
        codes[to + i] = 112 + ((two & 15) | ((fifth & 1) << 4));
        codes[to + 32 + i] = 112 + ((two >> 4) | ((fifth & 2) << 3));
      }
    }
  }
};

const q6k: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  for (let block = 0, at = 0; block < count; block++, at += 210) {
    const scale = half[bytes[at + 208]! | (bytes[at + 209]! << 8)]!;
    for (let i = 0; i < 16; i++) scales[16 * block + i] = scale * ((bytes[at + 192 + i]! << 24) >> 24);
    for (let part = 0, to = 256 * block; part < 2; part++, to += 128) {
      const low = at + 64 * part;
      const high = at + 128 + 32 * part;
      for (let i = 0; i < 32; i++) {
        const first = bytes[low + i]!;
        const second = bytes[low + 32 + i]!;
        const upper = bytes[high + i]!;
        // 0 to 63 become 96 to 159, around 128
        codes[to + i] = 96 + ((first & 15) | ((upper & 3) << 4));
        codes[to + 32 + i] = 96 + ((second & 15) | ((upper & 12) << 2));
        codes[to + 64 + i] = 96 + ((first >> 4) | (upper & 48));
        codes[to + 96 + i] = 96 + ((second >> 4) | ((upper & 192) >> 2));
      }
    }
  }
};

export const kQuants = {
  Q2_K: { values: 256, bytes: 84, layout: { bits: 4, blockSize: 16, mins: true }, zero: 6, takeApart: q2k },
  Q3_K: { values: 256, bytes: 110, layout: { bits: 4, blockSize: 16, mins: false }, zero: 8, takeApart: q3k },
  Q4_K: { values: 256, bytes: 144, layout: { bits: 4, blockSize: 32, mins: true }, zero: 0, takeApart: q4k },
  Q5_K: {
    values: 256,
    bytes: 176,
    layout: { bits: 8, blockSize: 32, mins: true },
    zero: 112,
    takeApart: q5k,
  },
  Q6_K: {
    values: 256,
    bytes: 210,
    layout: { bits: 8, blockSize: 16, mins: false },
    zero: 128,
    takeApart: q6k,
  },
} satisfies Record<string, BlockKind>;
