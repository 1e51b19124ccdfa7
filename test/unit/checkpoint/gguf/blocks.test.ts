/** Types of quantised blocks: the bits of gguf-py (test/oracle/ggufBlocks.py), and the exact mappings. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { blockFormats } from '../../../../src/checkpoint/gguf/blocks/formats.ts';
import type { BlockType } from '../../../../src/checkpoint/types.ts';

/** The first half of the sha256 of the values of 64 blocks; what is not finite counts as 0. */
const golden: Partial<Record<BlockType, string>> = {
  Q4_0: 'd182f5736fb824a2d5c1b34a0554bb7f',
  Q4_1: '116aa50d3bbf7f31f2639c88fc7973a6',
  Q5_0: 'e1ec4040af96ac0d450004bf7c693cd9',
  Q5_1: '88290549d59a9ca5d2624ae328961a63',
  Q8_0: '0795a4f9faffd1e3e70bc930f1688474',
  Q2_K: '266ee0057ab677aadc5b4efff8289d57',
  Q3_K: '81f1ebca577e83c1eb3cd52c23956069',
  Q4_K: '0ea1ec3c5bd73a3c7a17748afbba2b20',
  Q5_K: 'c5d8478f7eb394f3086e13d9cd6f042e',
  Q6_K: '42a67c7bf58ee76b237d6f67ce89121f',
  IQ4_NL: 'b79719b42913d52858b2a0c72564ae12',
  IQ4_XS: 'c0efa3008224d88dfd9eff62150ee856',
  MXFP4: '661146952e2c04ef6a992d0da23db761',
  NVFP4: 'f55b2e8bc9966542b1d62078e7d99ec5',
  TQ1_0: '8e08cf0b4cab74b867e69aca6006de6f',
  TQ2_0: 'f507cbe6af5ea4f8751114f8c20f7255',
  IQ2_XXS: 'b6a5a6cfba0968c99158e6fc9be553c3',
  IQ2_XS: 'c92105d9f9b3ba927352a8c8da1ae454',
  IQ2_S: '394add3a37d5d611434d006bbaa640d4',
  IQ3_XXS: 'd10c9b348971e671f8a6fb567a590684',
  IQ3_S: 'c08e1ed3d3b568c2397202df38e63b40',
  IQ1_S: 'edb269b829309934335fe0af67437727',
  IQ1_M: 'd5e55ce9c48a29081394293ce73e80e9',
};

function pseudoRandom(count: number): Uint8Array {
  let state = 0x9e3779b9;
  return Uint8Array.from({ length: count }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 24;
  });
}

describe('blocks of GGUF files', () => {
  for (const [type, expected] of Object.entries(golden) as [BlockType, string][]) {
    it(`${type}: the reference's bits`, () => {
      const { bytes, values, dequantize } = blockFormats[type];
      const found = dequantize(pseudoRandom(64 * bytes)).map((value) => (Number.isFinite(value) ? value : 0));
      assert.equal(found.length, 64 * values);
      assert.equal(
        createHash('sha256').update(new Uint8Array(found.buffer)).digest('hex').slice(0, 32),
        expected,
      );
    });
  }

  it('Q1_0: a sign for each bit, the lowest first', () => {
    // the scale 1.5 (0x3e00), then 16 bytes of signs
    const block = Uint8Array.from([0, 0x3e, 0b00000101, ...new Array<number>(15).fill(0)]);
    const values = blockFormats.Q1_0.dequantize(block);
    assert.deepEqual([...values.subarray(0, 4)], [1.5, -1.5, 1.5, -1.5]);
    assert.equal(values.length, 128);
    assert.ok(values.subarray(3).every((value) => value === -1.5));
  });

  for (const [type, format] of Object.entries(blockFormats)) {
    it(`${type}: codes, scales and mins give the values again`, () => {
      const bytes = pseudoRandom(32 * format.bytes);
      const values = format.dequantize(bytes);
      const { bits, blockSize, mins: hasMins } = format.layout;
      const { codes, scales, mins } = format.unpack(bytes);
      assert.equal(mins !== undefined, hasMins);
      for (const [block, scale] of scales.entries()) {
        const block32 = values.subarray(block * blockSize, (block + 1) * blockSize);
        if (!Number.isFinite(scale) || !block32.every(Number.isFinite)) continue;
        // Random scales and mins may be of very different sizes: both bound what a rounding loses.
        const largest = Math.max(
          ...block32.map(Math.abs),
          Math.abs(scale) * 2 ** (bits - 1),
          Math.abs(mins?.[block] ?? 0),
        );
        for (const [i, value] of block32.entries()) {
          const code = codes[block * blockSize + i]!;
          assert.ok(code < 2 ** bits);
          const again = scale * (code - 2 ** (bits - 1)) + (mins?.[block] ?? 0);
          assert.ok(Math.abs(again - value) <= 1.3e-7 * largest, `${again} for ${value}`);
        }
      }
    });
  }

  it('bytes that are no whole blocks are a mistake of ours', () => {
    assert.throws(
      () => blockFormats.Q4_K.dequantize(new Uint8Array(145)),
      /145 bytes are no whole blocks of 144/,
    );
  });
});
