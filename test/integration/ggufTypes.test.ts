/** Every type of the oracle's file dequantises to the reference's bits; the exact mappings give the same values. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { blockFormats, isBlockType } from '../../src/checkpoint/gguf/blocks/formats.ts';
import { openGguf } from '../../src/checkpoint/gguf/file.ts';
import type { GgufFile } from '../../src/checkpoint/gguf/file.ts';
import { readTensorBytes } from '../../src/checkpoint/safetensors.ts';
import { readRows } from '../../src/checkpoint/tensorRows.ts';
import { oracleFolder } from '../support/oracle.ts';

interface Expected {
  name: string;
  type: string;
  rows: number;
  columns: number;
  offset: number;
  sha256: string;
}

const folder = join(oracleFolder, 'gguf');
const present = existsSync(folder);
if (!present && process.env['CI']) throw new Error(`CI requires the oracle in ${folder}.`);
if (!present) console.warn(`SKIPPED: no oracle in ${folder}`);
const expected = present ? (JSON.parse(readFileSync(join(folder, 'types.json'), 'utf8')) as Expected[]) : [];

describe('types of GGUF tensors against the oracle', () => {
  let file: GgufFile;
  before(async function () {
    if (!present) this.skip();
    file = await openGguf(join(folder, 'types.gguf'));
  });

  for (const { name, type, rows, columns, offset, sha256 } of expected) {
    it(`${type} dequantises to the reference's bits`, async () => {
      const location = file.tensors.get(name)!;
      assert.equal(location.dtype, type);
      assert.deepEqual(location.shape, [rows, columns]);
      const values = await readRows(location, 0, rows);
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      const reference = readFileSync(join(folder, 'types.bin')).subarray(offset, offset + bytes.length);
      assert.ok(Buffer.from(bytes).equals(reference), 'bits differ');
      assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256);
      const row = await readRows(location, 4, 1);
      assert.deepEqual(row, values.slice(4 * columns, 5 * columns));
    });

    if (!isBlockType(type)) continue;
    it(`${type} is computed without loss by codes, scales and mins`, async () => {
      const stored = await readTensorBytes(file.tensors.get(name)!);
      const format = blockFormats[type];
      const values = format.dequantize(stored);
      const { bits, blockSize, mins: hasMins } = format.layout;
      const { codes, scales, mins } = format.unpack(stored);
      assert.equal(codes.length, values.length);
      assert.equal(scales.length, values.length / blockSize);
      assert.equal(mins !== undefined, hasMins);
      assert.ok(codes.every((code) => code < 2 ** bits));
      for (let block = 0; block < scales.length; block++) {
        const start = block * blockSize;
        const largest = values
          .subarray(start, start + blockSize)
          .reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        for (let i = start; i < start + blockSize; i++) {
          const value = scales[block]! * (codes[i]! - 2 ** (bits - 1)) + (mins?.[block] ?? 0);
          const difference = Math.abs(Math.fround(value) - values[i]!);
          if (hasMins) assert.ok(difference <= 1e-6 * largest, `value ${i}: ${value} for ${values[i]!}`);
          else assert.equal(difference, 0, `value ${i}: ${value} for ${values[i]!}`);
        }
      }
    });
  }
});
