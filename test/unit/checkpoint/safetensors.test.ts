import assert from 'node:assert/strict';
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../../src/protocol/errors.ts';
import { readSafetensors, readTensor, writeSafetensors } from '../../../src/checkpoint/safetensors.ts';
import { removeFolder, temporaryFolder } from '../../fixtures/checkpoint/tinyCheckpoint.ts';

describe('safetensors files', () => {
  let folder: string;
  before(() => (folder = temporaryFolder()));
  after(() => removeFolder(folder));

  /** Writes a file with this header (text or object) and data. */
  function write(header: string | object, dataBytes: number, headerLength?: bigint): string {
    const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(headerLength ?? BigInt(text.length));
    const path = join(folder, 'crafted.safetensors');
    writeFileSync(path, Buffer.concat([length, text, Buffer.alloc(dataBytes, 1)]));
    return path;
  }
  const entry = (
    begin: number,
    end: number,
    shape: unknown = [(end - begin) / 4],
    dtype = 'F32',
  ): object => ({
    dtype,
    shape,
    data_offsets: [begin, end],
  });
  async function refused(path: string, pattern: RegExp): Promise<void> {
    await assert.rejects(readSafetensors(path), (error: unknown) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, pattern);
      return true;
    });
  }

  it('reads back what it wrote, in every float type', async () => {
    const path = join(folder, 'round.safetensors');
    const data = Float32Array.of(0.5, -2, 65504, -0, 1024, 2 ** -24);
    await writeSafetensors(
      path,
      [
        { name: 'half', dtype: 'F16', shape: [2, 3], data },
        { name: 'single', dtype: 'F32', shape: [6], data: () => data },
        { name: 'brain', dtype: 'BF16', shape: [3, 2], data: Float32Array.of(0.5, -2, 65536, -0, 1024, 1) },
        { name: 'empty', dtype: 'F32', shape: [0, 4], data: new Float32Array(0) },
      ],
      { format: 'pt' },
    );
    const file = await readSafetensors(path);
    assert.deepEqual(file.metadata, { format: 'pt' });
    assert.deepEqual(file.tensors.get('half')?.shape, [2, 3]);
    assert.deepEqual(await readTensor(file.tensors.get('half')!), data);
    assert.deepEqual(await readTensor(file.tensors.get('single')!), data);
    assert.deepEqual(
      await readTensor(file.tensors.get('brain')!),
      Float32Array.of(0.5, -2, 65536, -0, 1024, 1),
    );
    assert.equal((await readTensor(file.tensors.get('empty')!)).length, 0);
    // The reference implementation wants the data at a multiple of 8; float32 must be aligned.
    assert.equal(file.tensors.get('single')!.offset % 8, 0);
  });

  it('leaves the old file and no others when writing fails', async () => {
    const path = join(folder, 'kept.safetensors');
    await writeSafetensors(path, [{ name: 'a', dtype: 'F32', shape: [1], data: Float32Array.of(7) }]);
    const before = readFileSync(path);
    const broken = (): Float32Array => {
      throw new Error('disk full');
    };
    await assert.rejects(
      writeSafetensors(path, [{ name: 'a', dtype: 'F32', shape: [1], data: broken }]),
      /disk full/,
    );
    assert.deepEqual(readFileSync(path), before);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.includes('kept')),
      ['kept.safetensors'],
    );
  });

  it('names what is missing or cut off', async () => {
    await refused(join(folder, 'nowhere.safetensors'), /nowhere\.safetensors is missing/);
    const path = join(folder, 'half.safetensors');
    await writeSafetensors(path, [
      { name: 'first', dtype: 'F32', shape: [8], data: new Float32Array(8) },
      { name: 'second', dtype: 'F32', shape: [8], data: new Float32Array(8) },
    ]);
    const size = readFileSync(path).length;
    truncateSync(path, size - 4);
    await refused(
      path,
      /is incomplete: its header describes 64 bytes of tensors, the file holds 60 \(tensor "second"/,
    );
    truncateSync(path, 20);
    await refused(path, /is incomplete: its header has \d+ bytes, the file 20/);
    truncateSync(path, 3);
    await refused(path, /only 3 bytes/);
  });

  it('recognises a git-lfs pointer and files of another kind', async () => {
    const path = join(folder, 'other.safetensors');
    writeFileSync(path, 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n');
    await refused(path, /git-lfs pointer/);
    writeFileSync(path, 'just a text that is longer than eight bytes');
    await refused(path, /is not a safetensors file: it claims a header of \d+ bytes/);
  });

  it('refuses headers that lie about their length', async () => {
    await refused(write({ a: entry(0, 4) }, 4, 2n ** 63n), /claims a header/);
    await refused(write({ a: entry(0, 4) }, 4, 0n), /claims a header of 0 bytes/);
    await refused(write({ a: entry(0, 4) }, 4, 100_000_001n), /claims a header/);
    await refused(write({ a: entry(0, 4) }, 4, 10n), /not valid JSON/);
    await refused(write('[1]', 0), /no JSON header/);
    await refused(write(Buffer.from([0x7b, 0xff, 0x7d]).toString('latin1'), 0), /not valid JSON/);
  });

  it('names tensors that overlap, leave gaps or run over', async () => {
    await refused(write({ a: entry(0, 8), b: entry(4, 12) }, 12), /"a" and "b" overlap/);
    await refused(write({ a: entry(0, 8), b: entry(0, 8) }, 8), /"a" and "b" overlap/);
    await refused(write({ a: entry(0, 4), b: entry(8, 12) }, 12), /gap of 4 bytes before tensor "b"/);
    await refused(write({ a: entry(4, 8) }, 8), /gap of 4 bytes before tensor "a"/);
    await refused(write({ a: entry(0, 8) }, 4), /incomplete.*"a" is cut off/);
    await refused(write({ a: entry(0, 8) }, 12), /4 bytes follow the last tensor/);
  });

  it('names entries whose type, shape and length disagree', async () => {
    await refused(write({ a: entry(0, 8, [3]) }, 8), /"a" of type F32 and shape \[3\] needs 12 bytes/);
    await refused(write({ a: entry(0, 8, [2], 'F64') }, 8), /needs 16 bytes/);
    await refused(write({ a: entry(0, 4, [1], 'F31') }, 4), /unknown element type "F31"/);
    await refused(write({ a: entry(0, 4, [-1, -1]) }, 4), /impossible shape/);
    await refused(write({ a: entry(0, 4, [1.5]) }, 4), /impossible shape/);
    await refused(write({ a: entry(0, 4, [2 ** 60, 2 ** 60]) }, 4), /impossible shape/);
    await refused(write({ a: entry(0, 4, [2 ** 50, 2 ** 50]) }, 4), /needs .* bytes/);
    await refused(write({ a: { dtype: 'F32', shape: [1], data_offsets: [4, 0] } }, 4), /hold -4/);
    await refused(
      write({ a: { dtype: 'F32', shape: [1], data_offsets: [0] } }, 4),
      /impossible data_offsets/,
    );
    await refused(write({ a: 3 }, 0), /entry of tensor "a" is not an object/);
    await refused(write({ __metadata__: { n: 1 } }, 0), /__metadata__ entry "n" is not text/);
  });

  it('refuses a name that is there twice, however it is written', async () => {
    const one = JSON.stringify(entry(0, 4));
    const two = JSON.stringify(entry(4, 8));
    await refused(write(`{"a":${one},"a":${two}}`, 8), /names "a" twice/);
    await refused(write(`{"a":${one},"\\u0061" :${two}}`, 8), /names "a" twice/);
    // The same words inside an entry are no repetition.
    const file = await readSafetensors(write(`{"dtype":${one},"b":${two}}`, 8));
    assert.equal(file.tensors.size, 2);
  });

  it('does not read integers as numbers of a model', async () => {
    const file = await readSafetensors(write({ a: entry(0, 8, [1], 'I64') }, 8));
    await assert.rejects(readTensor(file.tensors.get('a')!), /"a".*element type I64/);
  });
});
