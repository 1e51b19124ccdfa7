/** GGUF headers: sound ones, odd ones, split ones, and hostile ones, which are refused with what is wrong and where. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isGguf, openGguf } from '../../../../src/checkpoint/gguf/file.ts';
import { UserError } from '../../../../src/protocol/errors.ts';
import { float32Bytes, ggufBytes, text, uint32, uint64, writeGguf } from '../../../support/ggufWriter.ts';
import type { GgufContent, MetadataValue, TensorEntry } from '../../../support/ggufWriter.ts';

const architecture: readonly [string, MetadataValue] = ['general.architecture', ['string', 'llama']];
const weights = (name: string, rows = 2, columns = 3): TensorEntry => ({
  name,
  dimensions: [columns, rows],
  data: float32Bytes(Array.from({ length: rows * columns }, (_, i) => i)),
});
const sound: GgufContent = {
  metadata: [
    architecture,
    ['a.uint8', ['uint8', 200]],
    ['a.int8', ['int8', -3]],
    ['a.uint16', ['uint16', 65000]],
    ['a.int16', ['int16', -300]],
    ['a.uint32', ['uint32', 4000000000]],
    ['a.int32', ['int32', -70000]],
    ['a.uint64', ['uint64', 2n ** 40n]],
    ['a.int64', ['int64', -5n]],
    ['a.float32', ['float32', 0.5]],
    ['a.float64', ['float64', 0.1]],
    ['a.bool', ['bool', true]],
    ['a.text', ['string', 'größer']],
    ['a.texts', ['array', 'string', ['a', '', 'ß']]],
    ['a.numbers', ['array', 'float32', [1, 2.5]]],
    ['a.int64s', ['array', 'int64', [-1n, 2n]]],
    ['a.nothing', ['array', 'string', []]],
  ],
  tensors: [weights('x.weight'), weights('y.weight', 1, 8)],
};

describe('GGUF files', () => {
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'spring-gguf-'))));
  after(() => rmSync(folder, { recursive: true }));

  const write = (content: GgufContent | Buffer, name = 'test.gguf'): string => {
    const path = join(folder, name);
    writeFileSync(path, Buffer.isBuffer(content) ? content : ggufBytes(content));
    return path;
  };
  async function refused(content: GgufContent | Buffer, message: RegExp): Promise<void> {
    const path = write(content);
    const start = performance.now();
    await assert.rejects(openGguf(path), (error: unknown) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      assert.ok(error.message.startsWith(path) && error.message.length < 400 + path.length, error.message);
      return true;
    });
    assert.ok(performance.now() - start < 1000);
  }

  for (const version of [2, 3]) {
    it(`reads every type of metadata and the tensors of version ${version}`, async () => {
      const path = write({ ...sound, version }, 'sha256-0123abc');
      assert.ok(await isGguf(path));
      const file = await openGguf(path);
      const { metadata, tensors } = file;
      assert.equal(file.version, version);
      const integers = ['uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'uint64', 'int64'];
      assert.deepEqual(
        integers.map((type) => metadata.integer(`a.${type}`)),
        [200, -3, 65000, -300, 4000000000, -70000, 2 ** 40, -5],
      );
      assert.deepEqual([metadata.number('a.float32'), metadata.number('a.float64')], [0.5, 0.1]);
      assert.equal(metadata.boolean('a.bool'), true);
      assert.equal(metadata.string('a.text'), 'größer');
      assert.deepEqual(metadata.strings('a.texts'), ['a', '', 'ß']);
      assert.deepEqual(metadata.numbers('a.numbers'), Float32Array.of(1, 2.5));
      assert.deepEqual(metadata.numbers('a.int64s'), Float64Array.of(-1, 2));
      assert.deepEqual([metadata.lengthOf('a.nothing'), metadata.strings('a.nothing')], [0, []]);
      assert.equal(metadata.strings('b'), undefined);
      assert.deepEqual([metadata.integer('b', 7), metadata.string('b', undefined)], [7, undefined]);
      const { shape, dtype, offset, length } = tensors.get('y.weight')!;
      assert.deepEqual({ shape, dtype, length }, { shape: [1, 8], dtype: 'F32', length: 32 });
      assert.equal(offset, tensors.get('x.weight')!.offset + 32);
    });
  }

  it('names the key, what is there and what should be', async () => {
    const { metadata } = await openGguf(write(sound));
    assert.throws(() => metadata.integer('b.heads'), /"b.heads" is missing; expected a whole number/);
    assert.throws(() => metadata.integer('a.text'), /"a.text" is the text "größer"; expected a whole number/);
    assert.throws(() => metadata.integer('a.float32', 3), /"a.float32" is 0.5 \(float32\); expected a whole/);
    assert.throws(() => metadata.string('a.texts'), /is a list of 3 values of type string; expected a text/);
    assert.throws(() => metadata.strings('a.numbers'), /expected a list of texts/);
    assert.throws(
      () => metadata.integerIn('a.uint8', 1, 100),
      /is 200 \(uint8\); expected a whole number from 1/,
    );
  });

  it('leaves long lists out where they are not asked for', async () => {
    const tokens: MetadataValue = ['array', 'string', Array.from({ length: 5000 }, (_, i) => `token ${i}`)];
    const path = write({ metadata: [architecture, ['t', tokens], ['s', ['array', 'uint8', [1]]]] });
    const { metadata } = await openGguf(path, { arrays: false });
    assert.equal(metadata.lengthOf('t'), 5000);
    assert.throws(() => metadata.strings('t'), /opened without its long lists/);
    assert.deepEqual(metadata.numbers('s'), Uint8Array.of(1));
    assert.equal((await openGguf(path)).metadata.strings('t')![4999], 'token 4999');
  });

  it('reads values that lie across the borders of what is read at a time', async () => {
    const tokens = Array.from({ length: 40_000 }, (_, i) => 'x'.repeat(i % 97));
    const metadata: [string, MetadataValue][] = [
      ['long', ['string', 'é'.repeat(1_500_000)]],
      ['tokens', ['array', 'string', tokens]],
      ['last', ['uint32', 5]],
    ];
    const file = await openGguf(write({ metadata, tensors: [weights('x')] }));
    assert.equal(file.metadata.string('long').length, 1_500_000);
    assert.deepEqual(file.metadata.strings('tokens'), tokens);
    assert.equal(file.metadata.integer('last'), 5);
  });

  it('takes other alignments', async () => {
    for (const alignment of [1, 8, 4096]) {
      const metadata = [['general.alignment', ['uint32', alignment]]] as [string, MetadataValue][];
      const file = await openGguf(write({ ...sound, metadata, alignment }));
      assert.equal(file.tensors.get('x.weight')!.offset % alignment, 0);
    }
    for (const value of [0, 3, 48, -8, 2 ** 30]) {
      await refused(
        { ...sound, metadata: [['general.alignment', ['int32', value]]] },
        /"general.alignment" is .*; expected a power of two/,
      );
    }
    const asText: MetadataValue = ['string', '32'];
    await refused(
      { ...sound, metadata: [['general.alignment', asText]] },
      /is the text "32"; expected a whole/,
    );
  });

  it('refuses other formats, versions and byte orders by name', async () => {
    assert.equal(await isGguf(write(Buffer.from('GGU'))), false);
    assert.equal(await isGguf(join(folder, 'absent')), false);
    assert.equal(await isGguf(folder), false);
    const start = (magic: string, version: number): Buffer =>
      Buffer.concat([Buffer.from(magic), uint32(version), Buffer.alloc(40)]);
    await refused(Buffer.from('GGUF'), /has only 4 bytes/);
    await refused(
      start('PK\u0003\u0004', 3),
      /no GGUF file: it begins with "PK\\u0003\\u0004", expected "GGUF"/,
    );
    await refused(start('tjgg', 3), /a GGJT file, of the time before GGUF/);
    await refused(start('GGUF', 1), /GGUF file of version 1; versions 2 and 3/);
    await refused(start('GGUF', 4), /of version 4;/);
    await refused(start('GGUF', 0), /of version 0;/);
    await refused(start('GGUF', 3 * 2 ** 24), /in big-endian byte order;/);
    await assert.rejects(openGguf(folder), /is not a file/);
    await assert.rejects(openGguf(join(folder, 'absent')), /absent is missing/);
  });

  it('believes no count and no length', async () => {
    await refused({ ...sound, tensorCount: 2n ** 60n }, /claims 1152921504606847000 tensors/);
    await refused({ ...sound, tensorCount: 60000n }, /entry of tensor 3 of 60000/);
    await refused({ ...sound, keyCount: 2n ** 63n }, /claims 9223372036854776000 metadata entries/);
    await refused({ ...sound, keyCount: 40000n }, /metadata entry \d+ of 40000|unknown type of value/);
    const header = (...parts: Buffer[]): Buffer =>
      Buffer.concat([Buffer.from('GGUF'), uint32(3), uint64(0), uint64(1), ...parts, Buffer.alloc(64)]);
    await refused(
      header(uint64(2n ** 48n), Buffer.from('key')),
      /metadata entry 1 of 1 has a name of 2814749/,
    );
    await refused(header(uint64(0)), /has a name of 0 bytes/);
    const value = (...parts: Buffer[]): Buffer => header(text('k'), ...parts);
    await refused(value(uint32(8), uint64(2n ** 62n)), /the value of "k" would end at byte 46116/);
    await refused(value(uint32(9), uint32(4), uint64(2n ** 61n)), /the value of "k" would end at byte/);
    await refused(value(uint32(9), uint32(8), uint64(2n ** 40n)), /the value of "k" would end at byte 8796/);
    await refused(value(uint32(9), uint32(8), uint64(1), uint64(1000)), /the value of "k" would end at byte/);
    await refused(value(uint32(9), uint32(9), uint64(1)), /"k" is a list of lists/);
    await refused(value(uint32(9), uint32(77), uint64(1)), /"k" has the unknown type of value 77/);
    await refused(value(uint32(13)), /"k" has the unknown type of value 13/);
    await refused(value(uint32(7), Buffer.from([2])), /"k" is a truth value of 2/);
  });

  it('reads no more than a header can have, however large the file is', async () => {
    const texts = (count: number): Buffer =>
      ggufBytes({ metadata: [['k', Buffer.concat([uint32(9), uint32(8), uint64(count)])]] });
    const path = write(texts(10_000_000));
    truncateSync(path, 2 ** 36); // zeros: ten million empty texts
    await assert.rejects(
      openGguf(path),
      /the value of "k" would end 80000049 bytes into its header; at most 67108864/,
    );
    writeFileSync(path, texts(2_000_000));
    truncateSync(path, 2 ** 36);
    await assert.rejects(openGguf(path), /"k" is a list of 2000000 texts; at most 524288 are read/);
    writeFileSync(path, ggufBytes({ metadata: [['k', Buffer.concat([uint32(8), uint64(2n ** 30n)])]] }));
    truncateSync(path, 2 ** 36);
    await assert.rejects(openGguf(path), /bytes into its header; at most 67108864 are read/);
  });

  it('refuses tensors that cannot be', async () => {
    const one = (changes: Partial<TensorEntry>): GgufContent => ({
      tensors: [weights('a'), { ...weights('b'), ...changes }, weights('c')],
    });
    await refused(one({ name: 'a' }), /two tensors named "a"/);
    await refused(one({ name: '' }), /tensor 2 of 3 has a name of 0 bytes/);
    await refused(one({ name: 'n'.repeat(65) }), /has a name of 65 bytes; 1 to 64/);
    await refused(one({ dimensions: [] }), /tensor "b" has 0 dimensions; 1 to 4/);
    await refused(one({ dimensions: [1, 1, 1, 1, 1] }), /tensor "b" has 5 dimensions/);
    await refused(one({ dimensions: [0, 4] }), /tensor "b" has the impossible shape \[0, 4\]/);
    await refused(one({ dimensions: [2n ** 32n, 2n ** 32n] }), /"b" has the impossible shape/);
    await refused(one({ dimensions: [2n ** 63n, 2] }), /"b" has the impossible shape/);
    await refused(one({ dimensions: [2 ** 20, 2 ** 20] }), /"b" would lie at bytes/);
    await refused(one({ type: 199 }), /tensor "b" has the type number 199, which is unknown.*Q4_K_M/);
    await refused(one({ type: 4 }), /the type Q4_2 \(withdrawn\)/);
    await refused(one({ type: 15 }), /the type Q8_K: it cannot be read/);
    await refused(
      one({ type: 12, dimensions: [128, 2] }),
      /rows of 128 values; Q4_K needs a multiple of 256/,
    );
    await refused(one({ offset: 16 }), /offset 16, which is no multiple of the alignment 32/);
    await refused(one({ offset: 0 }), /tensors "a" and "b" overlap/);
    await refused(one({ offset: 2n ** 40n }), /tensor "b" would lie at bytes 1099511/);
    await refused(one({ offset: 2n ** 64n - 32n }), /tensor "b" would lie at bytes/);
    await refused({ metadata: [architecture, architecture] }, /key "general.architecture" is there twice/);
    const whole = ggufBytes(sound);
    await refused(
      whole.subarray(0, whole.length - 8),
      /is incomplete or damaged: tensor "y.weight" would lie/,
    );
    for (let length = 24; length < whole.length - 64; length += 7) {
      await refused(whole.subarray(0, length), /incomplete or damaged/);
    }
  });

  it('shows names of the file cut and harmless', async () => {
    const name = '](command:x)\u001b[31m\u202egnp\n';
    await refused(
      { tensors: [{ ...weights(name), type: 99 }] },
      /"\] \(command:x\)\\u001b\[31m\\u\{202e\}gnp\\n"/,
    );
    const key = 'k'.repeat(50_000);
    await refused({ metadata: [[key, uint32(99)]] }, /"k{80}…" has the unknown type of value 99/);
  });

  describe('in parts', () => {
    const part = (index: number, count: number, changes: GgufContent = {}): GgufContent => ({
      metadata: [
        ...(index === 0 ? [architecture] : []),
        ['split.no', ['uint16', index]],
        ['split.count', ['uint16', count]],
        ['split.tensors.count', ['int32', count]],
      ],
      tensors: [weights(`t${index}`)],
      ...changes,
    });
    const nameOf = (index: number, count: number): string => `m-0000${index + 1}-of-0000${count}.gguf`;
    const writeParts = (name: string, changes: (GgufContent | undefined)[] = []): string => {
      mkdirSync(join(folder, name));
      for (let i = 0; i < 3; i++) {
        writeGguf(join(folder, name, nameOf(i, 3)), part(i, 3, changes[i]));
      }
      return join(folder, name);
    };

    it('are read as one, from any part, and where links give the names', async () => {
      const parts = writeParts('whole');
      for (const index of [0, 2]) {
        const file = await openGguf(join(parts, nameOf(index, 3)));
        assert.equal(file.path, join(parts, nameOf(0, 3)));
        assert.equal(file.metadata.string('general.architecture'), 'llama');
        assert.deepEqual([...file.tensors.keys()], ['t0', 't1', 't2']);
        assert.deepEqual(
          [...file.tensors.values()].map((tensor) => tensor.file),
          file.files,
        );
      }
      const links = join(folder, 'links');
      mkdirSync(links);
      for (let i = 0; i < 3; i++) {
        writeGguf(join(folder, `blob${i}`), part(i, 3));
        symlinkSync(join(folder, `blob${i}`), join(links, nameOf(i, 3)));
      }
      assert.equal((await openGguf(join(links, nameOf(0, 3)))).tensors.size, 3);
      await assert.rejects(openGguf(join(folder, 'blob0')), /is part 1 of 3 .* "-00001-of-00003.gguf"/);
    });

    it('are refused where one is missing or of another model', async () => {
      const missing = writeParts('missing');
      rmSync(join(missing, nameOf(1, 3)));
      await assert.rejects(
        openGguf(join(missing, nameOf(0, 3))),
        /m-00002-of-00003.gguf is missing beside it/,
      );
      const numbered = writeParts('numbered', [undefined, part(2, 3)]);
      await assert.rejects(
        openGguf(join(numbered, nameOf(0, 3))),
        /says that it is part 3 of 3, expected part 2/,
      );
      const twice = writeParts('twice', [undefined, { tensors: [weights('t0')] }]);
      await assert.rejects(
        openGguf(join(twice, nameOf(0, 3))),
        /holds tensor "t0", as a part before it does/,
      );
      const more = writeParts('more', [undefined, { tensors: [weights('t1'), weights('t9')] }]);
      await assert.rejects(openGguf(join(more, nameOf(0, 3))), /hold 4 tensors, expected 3/);
    });

    it('may have their numbers in any integer type, and no others', async () => {
      const numbers = (
        type: 'uint8' | 'int32' | 'uint64',
        no: number,
        count: number,
      ): [string, MetadataValue][] => [
        ['split.no', [type, no]],
        ['split.count', [type, count]],
      ];
      for (const type of ['uint8', 'int32', 'uint64'] as const) {
        const folderOfType = writeParts(
          type,
          [0, 1, 2].map((i) => ({ metadata: numbers(type, i, 3) })),
        );
        assert.equal((await openGguf(join(folderOfType, nameOf(0, 3)))).tensors.size, 3);
      }
      await refused(
        { metadata: numbers('int32', 0, -1) },
        /"split.count" is -1 \(int32\); expected a whole number/,
      );
      await refused({ metadata: numbers('uint64', 0, 2 ** 40) }, /"split.count" is 1099511627776/);
      await refused({ metadata: numbers('int32', 5, 3) }, /is part 6 of 3/);
      await refused({ metadata: [['split.count', ['string', '2']]] }, /"split.count" is the text "2"/);
      assert.equal((await openGguf(write({ metadata: numbers('int32', 0, 1) }))).tensors.size, 0);
    });
  });
});
