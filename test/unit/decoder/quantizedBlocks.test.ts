import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { decodeBlocks, encodeBlocks, type Bits } from '../../../src/checkpoint/quantized/blocks.ts';
import { quantizedEncoding, quantizeRows } from '../../../src/checkpoint/quantized/quantize.ts';

/** (rows, inFeatures) of a fixed seed, within about -1..1, with one outlier in every third block. */
function sample(rows: number, inFeatures: number): Float32Array {
  let state = 7;
  const values = Float32Array.from({ length: rows * inFeatures }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
  for (let i = 10; i < values.length; i += 96) values[i]! *= 4;
  return values;
}

function meanSquare(values: Float32Array, expected: Float32Array): number {
  return values.reduce((sum, value, i) => sum + (value - expected[i]!) ** 2, 0) / values.length;
}

/** What quantised rows stand for. */
function restored(values: Float32Array, inFeatures: number, bits: Bits): Float32Array {
  return decodeBlocks(quantizeRows(values, inFeatures, bits), inFeatures, quantizedEncoding(bits));
}

describe('block quantisation', () => {
  for (const bits of [4, 8] as Bits[]) {
    for (const inFeatures of [64, 100]) {
      it(`${bits} bits, ${inFeatures} inputs: errors below a step`, () => {
        const values = sample(3, inFeatures);
        const result = restored(values, inFeatures, bits);
        for (let row = 0; row < 3; row++) {
          for (let start = 0; start < inFeatures; start += 32) {
            const from = row * inFeatures + start;
            const block = values.subarray(from, Math.min(from + 32, (row + 1) * inFeatures));
            const step = (2 * Math.max(...block.map(Math.abs))) / (2 ** bits - 1);
            block.forEach((value, i) => {
              const difference = Math.abs(value - result[from + i]!);
              assert.ok(difference <= 1.5 * step, `${difference} of step ${step}`);
            });
          }
        }
      });
    }

    it(`${bits} bits: the same codes, scales and zero points as ever`, () => {
      const values = sample(40, 96);
      values.fill(0, 100, 180);
      const parts = encodeBlocks(quantizeRows(values, 96, bits), 40, quantizedEncoding(bits));
      const hash = createHash('sha256');
      for (const bytes of parts.values()) hash.update(bytes);
      assert.equal(hash.digest('hex').slice(0, 16), { 4: '15ebc1a85c4fa6dc', 8: '717e33e854761254' }[bits]);
    });
  }

  it('zero points make 4 bits exact to a sixteenth of the range on blocks that are not centred', () => {
    const values = sample(8, 64).map((value) => Math.abs(value));
    const error = meanSquare(restored(values, 64, 4), values);
    const centred = meanSquare(restored(sample(8, 64), 64, 4), sample(8, 64));
    assert.ok(error < 0.5 * centred, `${error} against ${centred}`);
  });

  it('zeros stay zeros', () => {
    for (const bits of [4, 8] as Bits[]) {
      assert.ok(restored(new Float32Array(64), 32, bits).every((value) => value === 0));
    }
  });

  it('the first of two 4-bit values lies in the low half, every row of zero points begins with a byte', () => {
    const blocks = {
      codes: Uint8Array.from({ length: 2 * 3 * 32 }, (_, i) => i % 16),
      scales: new Float32Array(6),
      zeroPoints: Uint8Array.of(1, 2, 3, 4, 5, 6),
    };
    const parts = encodeBlocks(blocks, 2, quantizedEncoding(4));
    assert.deepEqual([...parts.get('weight')!.subarray(0, 2)], [0x10, 0x32]);
    assert.deepEqual([...parts.get('zero_points')!], [0x21, 0x03, 0x54, 0x06]);
  });
});
