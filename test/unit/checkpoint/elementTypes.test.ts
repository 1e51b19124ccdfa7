import assert from 'node:assert/strict';
import { narrowFloat32, widenToFloat32 } from '../../../src/checkpoint/elementTypes.ts';

/** All 65536 patterns of a half-width type. */
function everyPattern(): Uint8Array {
  return new Uint8Array(Uint16Array.from({ length: 65536 }, (_, bits) => bits).buffer);
}

describe('element types', () => {
  it('knows the landmarks of float16', () => {
    const bits = Uint16Array.of(
      0x0000,
      0x8000,
      0x3c00,
      0xc000,
      0x7bff,
      0x0001,
      0x03ff,
      0x0400,
      0x7c00,
      0x3555,
    );
    const values = widenToFloat32(new Uint8Array(bits.buffer), 'F16');
    assert.deepEqual(
      [...values],
      [0, -0, 1, -2, 65504, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, Infinity, 0.333251953125],
    );
  });

  for (const type of ['F16', 'BF16'] as const) {
    it(`brings every ${type} value there and back unchanged`, () => {
      const bytes = everyPattern();
      const back = new Uint16Array(narrowFloat32(widenToFloat32(bytes, type), type).slice().buffer);
      const values = widenToFloat32(bytes, type);
      for (let bits = 0; bits < 65536; bits++) {
        if (Number.isNaN(values[bits]))
          assert.ok(Number.isNaN(widenToFloat32(pattern(back[bits]!), type)[0]));
        else assert.equal(back[bits], bits);
      }
    });

    it(`rounds to the nearest ${type}, ties to the even pattern`, () => {
      const values = widenToFloat32(everyPattern(), type);
      // Between each two neighbours: the middle goes to the even one, its float32 neighbours to the nearer one.
      for (let bits = 0; bits < (type === 'F16' ? 0x7bff : 0x7f7f); bits++) {
        const middle = Float32Array.of((values[bits]! + values[bits + 1]!) / 2);
        if (middle[0] === values[bits] || middle[0] === values[bits + 1]) continue; // not a float32 number
        const step = new Int32Array(middle.buffer);
        const rounded = (): number => new Uint16Array(narrowFloat32(middle, type).slice().buffer)[0]!;
        assert.equal(rounded(), bits % 2 === 0 ? bits : bits + 1);
        step[0]!--;
        assert.equal(rounded(), bits);
        step[0]! += 2;
        assert.equal(rounded(), bits + 1);
      }
    });
  }

  it('carries values beyond the range into infinity', () => {
    const narrow = (value: number): number => {
      return widenToFloat32(narrowFloat32(Float32Array.of(value), 'F16'), 'F16')[0]!;
    };
    assert.equal(narrow(65519), 65504);
    assert.equal(narrow(65520), Infinity);
    assert.equal(narrow(-1e30), -Infinity);
  });

  it('reads from addresses that typed arrays cannot view', () => {
    const bytes = new Uint8Array(9);
    bytes.set(new Uint8Array(Float32Array.of(1.5, -3).buffer), 1);
    assert.deepEqual(widenToFloat32(bytes.subarray(1), 'F32'), Float32Array.of(1.5, -3));
  });
});

function pattern(bits: number): Uint8Array {
  return new Uint8Array(Uint16Array.of(bits).buffer);
}
