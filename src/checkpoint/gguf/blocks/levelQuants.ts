/**
 * Types of 4 bits whose 16 levels are not evenly spaced: ggml's own (IQ4) and small floats (MXFP4 after the OCP
 * microscaling specification, NVFP4). The levels are whole numbers, so 8-bit codes hold them exactly.
 */
import { float16Table } from '../../elementTypes.ts';
import type { BlockKind, TakeApart } from './blockFormat.ts';

/** Levels as codes around 128. */
const codesOf = (levels: readonly number[]): Uint8Array => Uint8Array.from(levels, (level) => 128 + level);

/** ggml's kvalues_iq4nl. */
const iq4Levels = codesOf([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]);

/** Twice the values of an E2M1 float (two bits of exponent, one of mantissa): the scales are halved. */
const floatLevels = codesOf([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]);

/** The low halves of `count` bytes, then the high halves. */
function lookUp(
  levels: Uint8Array,
  bytes: Uint8Array,
  from: number,
  count: number,
  codes: Uint8Array,
  to: number,
): void {
  for (let i = 0; i < count; i++) {
    const pair = bytes[from + i]!;
    codes[to + i] = levels[pair & 15]!;
    codes[to + count + i] = levels[pair >> 4]!;
  }
}

const iq4nl: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  for (let block = 0, at = 0; block < count; block++, at += 18) {
    scales[block] = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    lookUp(iq4Levels, bytes, at + 2, 16, codes, 32 * block);
  }
};

const iq4xs: TakeApart = (bytes, count, codes, scales) => {
  const half = float16Table();
  for (let block = 0, at = 0; block < count; block++, at += 136) {
    const scale = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const upper = bytes[at + 2]! | (bytes[at + 3]! << 8);
    for (let i = 0; i < 8; i++) {
      const low = (bytes[at + 4 + (i >> 1)]! >> (4 * (i & 1))) & 15;
      scales[8 * block + i] = scale * ((low | (((upper >> (2 * i)) & 3) << 4)) - 32);
      lookUp(iq4Levels, bytes, at + 8 + 16 * i, 16, codes, 256 * block + 32 * i);
    }
  }
};

/** Half of 2^(e - 127); the smallest ones are below float32's normal numbers, as the reference has them. */
const halvedPowers = Float32Array.from({ length: 256 }, (_, exponent) => 2 ** (exponent - 128));

const mxfp4: TakeApart = (bytes, count, codes, scales) => {
  for (let block = 0, at = 0; block < count; block++, at += 17) {
    scales[block] = halvedPowers[bytes[at]!]!;
    lookUp(floatLevels, bytes, at + 1, 16, codes, 32 * block);
  }
};

/** Half of an E4M3 float without sign; 0x7f is no number there and counts as 0 in the reference. */
const halvedFloats = Float32Array.from({ length: 256 }, (_, bits) => {
  const exponent = (bits >> 3) & 15;
  const mantissa = bits & 7;
  if (bits === 0x7f) return 0;
  return (exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7)) / 2;
});

const nvfp4: TakeApart = (bytes, count, codes, scales) => {
  for (let block = 0, at = 0; block < count; block++, at += 36) {
    for (let i = 0; i < 4; i++) {
      scales[4 * block + i] = halvedFloats[bytes[at + i]!]!;
      lookUp(floatLevels, bytes, at + 4 + 8 * i, 8, codes, 64 * block + 16 * i);
    }
  }
};

const bits8 = { bits: 8, blockSize: 32, mins: false } as const;

export const levelQuants = {
  IQ4_NL: { values: 32, bytes: 18, layout: bits8, zero: 128, takeApart: iq4nl },
  IQ4_XS: { values: 256, bytes: 136, layout: bits8, zero: 128, takeApart: iq4xs },
  MXFP4: { values: 32, bytes: 17, layout: bits8, zero: 128, takeApart: mxfp4 },
  NVFP4: { values: 64, bytes: 36, layout: { ...bits8, blockSize: 16 }, zero: 128, takeApart: nvfp4 },
} satisfies Record<string, BlockKind>;
