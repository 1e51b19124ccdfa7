import assert from 'node:assert/strict';
import { dequantizeRows, quantizeRows, type Bits } from '../../../src/checkpoint/quantized/blocks.ts';

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

describe('block quantisation', () => {
  for (const bits of [4, 8] as Bits[]) {
    for (const asymmetric of [false, true]) {
      for (const inFeatures of [64, 100]) {
        it(`${bits} bits${asymmetric ? ' with zero points' : ''}, ${inFeatures} inputs: errors below a step`, () => {
          const values = sample(3, inFeatures);
          const restored = dequantizeRows(
            quantizeRows(values, inFeatures, bits, asymmetric),
            inFeatures,
            bits,
          );
          for (let row = 0; row < 3; row++) {
            for (let start = 0; start < inFeatures; start += 32) {
              const from = row * inFeatures + start;
              const block = values.subarray(from, Math.min(from + 32, (row + 1) * inFeatures));
              const step = (2 * Math.max(...block.map(Math.abs))) / (2 ** bits - 1);
              block.forEach((value, i) => {
                const difference = Math.abs(value - restored[from + i]!);
                assert.ok(difference <= 1.5 * step, `${difference} of step ${step}`);
              });
            }
          }
        });
      }
    }
  }

  it('zero points make 4 bits more exact on blocks that are not centred', () => {
    const values = sample(8, 64).map((value) => value + 0.7);
    const error = (asymmetric: boolean): number =>
      meanSquare(dequantizeRows(quantizeRows(values, 64, 4, asymmetric), 64, 4), values);
    assert.ok(error(true) < 0.6 * error(false), `${error(true)} against ${error(false)}`);
  });

  it('zeros stay zeros', () => {
    for (const bits of [4, 8] as Bits[]) {
      for (const asymmetric of [false, true]) {
        const restored = dequantizeRows(quantizeRows(new Float32Array(64), 32, bits, asymmetric), 32, bits);
        assert.ok(restored.every((value) => value === 0));
      }
    }
  });

  it('the first of two 4-bit values lies in the low half', () => {
    const values = new Float32Array(32);
    values[0] = -8;
    values[1] = 7;
    const { weight } = quantizeRows(values, 32, 4, false);
    assert.equal(weight[0], 0 | (15 << 4));
  });
});
