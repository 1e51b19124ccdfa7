import assert from 'node:assert/strict';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../../../src/protocol/errors.ts';
import { TorchFile } from '../../../../src/checkpoint/torch/torchFile.ts';
import { writeTorchTensor } from '../../../../src/checkpoint/torch/writeTorchFile.ts';
import {
  bytes,
  global,
  integer,
  legacyFile,
  pickle,
  sixValues,
  storageBytes,
  tensor,
  text,
  tuple,
  writeZip,
} from '../../../fixtures/checkpoint/pickles.ts';
import type { TensorParts, ZipOptions } from '../../../fixtures/checkpoint/pickles.ts';
import { removeFolder, temporaryFolder } from '../../../fixtures/checkpoint/tinyCheckpoint.ts';

describe('torch files', () => {
  let folder: string;
  before(() => (folder = temporaryFolder()));
  after(() => removeFolder(folder));

  const zip = (dataPickle: Uint8Array, options?: ZipOptions): Promise<string> =>
    writeZip(join(folder, 'file.pt'), dataPickle, options);
  function legacy(content: Buffer): string {
    const path = join(folder, 'legacy.pt');
    writeFileSync(path, content);
    return path;
  }
  /** Names, shapes and values of all tensors. */
  async function read(path: string): Promise<[string, readonly number[], number[]][]> {
    await using file = await TorchFile.open(path);
    const result: [string, readonly number[], number[]][] = [];
    for (const [name, found] of file.tensors) result.push([name, found.shape, [...(await file.read(found))]]);
    return result;
  }
  async function refused(path: string, pattern: RegExp): Promise<void> {
    await assert.rejects(read(path), (error: unknown) => {
      assert.ok(error instanceof UserError, String(error));
      assert.ok(error.message.startsWith(path));
      assert.match(error.message, pattern);
      return true;
    });
  }
  const matrix = [...sixValues];

  it('reads a tensor from either form', async () => {
    assert.deepEqual(await read(await zip(pickle(tensor()))), [['', [2, 3], matrix]]);
    assert.deepEqual(await read(legacy(legacyFile())), [['', [2, 3], matrix]]);
  });

  it('reads views: transposed, sliced, of single columns, repeated sizes of one', async () => {
    const view = async (parts: TensorParts): Promise<number[]> => {
      return (await read(await zip(pickle(tensor(parts)))))[0]![2];
    };
    assert.deepEqual(await view({ shape: [3, 2], strides: [1, 3] }), [0, 1.5, 0.5, 2, 1, 2.5]);
    assert.deepEqual(await view({ shape: [1, 3], offset: 3 }), [1.5, 2, 2.5]);
    assert.deepEqual(await view({ shape: [2, 1], strides: [3, 1], offset: 2 }), [1, 2.5]);
    assert.deepEqual(await view({ shape: [2, 2], strides: [3, 2] }), [0, 1, 1.5, 2.5]);
    assert.deepEqual(await view({ shape: [], strides: [], offset: 4 }), [2]);
    assert.deepEqual(await view({ shape: [0, 3] }), []);
    assert.deepEqual(await view({ shape: [2, 1, 3], strides: [3, 99, 1] }), matrix);
  });

  it('reads every float type, by storage type or by dtype', async () => {
    const typed = (storage: string, data: Uint8Array, size: number): Promise<string> =>
      zip(pickle(tensor({ storage: ['torch', storage], size, shape: [size], strides: [1] })), {
        records: { 'data/0': data },
      });
    const double = new Uint8Array(Float64Array.of(0.5, -4).buffer);
    assert.deepEqual((await read(await typed('DoubleStorage', double, 2)))[0]![2], [0.5, -4]);
    const half = new Uint8Array(Uint16Array.of(0x3800, 0xc400).buffer);
    assert.deepEqual((await read(await typed('HalfStorage', half, 2)))[0]![2], [0.5, -4]);
    const brain = new Uint8Array(Uint16Array.of(0x3f00, 0xc080).buffer);
    assert.deepEqual((await read(await typed('BFloat16Storage', brain, 2)))[0]![2], [0.5, -4]);
    // _rebuild_tensor_v3 over an untyped storage, whose size counts bytes
    const untyped = pickle(
      global('torch._utils', '_rebuild_tensor_v3'),
      tuple(
        bytes(
          tuple(
            text('storage'),
            global('torch.storage', 'UntypedStorage'),
            text('0'),
            text('cpu'),
            integer(24),
          ),
          'Q',
        ),
        integer(0),
        tuple(integer(2), integer(3)),
        tuple(integer(3), integer(1)),
        bytes(0x89),
        bytes(global('collections', 'OrderedDict'), ')R'),
        global('torch', 'float32'),
      ),
      'R',
    );
    assert.deepEqual(await read(await zip(untyped)), [['', [2, 3], matrix]]);
    await refused(await typed('LongStorage', new Uint8Array(16), 2), /has the type int64; expected float32/);
    await refused(await typed('QInt8Storage', new Uint8Array(2), 2), /asks for torch\.QInt8Storage/);
  });

  it('names tensors by where they lie, and reads parameters and shared values', async () => {
    const nested = pickle(
      '}',
      '(',
      text('state'),
      bytes('}', text('a.b'), tensor(), 's'),
      text('list'),
      bytes('](', tensor({ shape: [6], strides: [1] }), 'K', 5, 'e'),
      'u',
    );
    assert.deepEqual(
      (await read(await zip(nested))).map(([name, shape]) => [name, shape]),
      [
        ['state.a.b', [2, 3]],
        ['list.0', [6]],
      ],
    );
    const parameter = pickle(
      global('torch._utils', '_rebuild_parameter'),
      tuple(tensor(), bytes(0x88), bytes(global('collections', 'OrderedDict'), ')R')),
      'R',
    );
    assert.deepEqual(await read(await zip(parameter)), [['', [2, 3], matrix]]);
    const subclass = pickle(
      global('torch._tensor', '_rebuild_from_type_v2'),
      tuple(
        global('torch._utils', '_rebuild_parameter'),
        global('torch.nn.parameter', 'Parameter'),
        tuple(tensor(), bytes(0x88), bytes('}')),
        bytes('}', text('note'), text('x'), 's'),
      ),
      'R',
    );
    assert.deepEqual(await read(await zip(subclass)), [['', [2, 3], matrix]]);
  });

  const badTensors: [string, TensorParts, RegExp][] = [
    ['too many rows', { shape: [3, 3] }, /too small for it/],
    ['an offset that leaves the storage', { offset: 1 }, /too small for it/],
    ['a stride that leaves the storage', { strides: [4, 1] }, /too small for it/],
    ['expansion by stride 0', { shape: [2 ** 31, 3], strides: [0, 1] }, /too small for it/],
    ['a product beyond all numbers', { shape: [2n ** 52n, 2n ** 52n] }, /too small for it/],
    ['a size beyond all numbers', { shape: [2n ** 62n, 3] }, /impossible tensor size/],
    ['a negative size', { shape: [-2, 3] }, /impossible tensor size/],
    ['a negative stride', { strides: [-3, 1] }, /impossible stride/],
    ['a negative offset', { offset: -1 }, /impossible storage offset/],
    ['more strides than sizes', { strides: [3, 1, 1] }, /2 sizes and 3 strides/],
    [
      'a hundred dimensions',
      { shape: Array<number>(100).fill(1), strides: Array<number>(100).fill(1) },
      /100 sizes/,
    ],
    ['a storage key that is a path', { key: '../0' }, /impossible storage key/],
    ['a storage key with a null byte', { key: '0\0' }, /impossible storage key/],
    ['a storage that is not there', { key: '7' }, /data of its storage 7 is missing/],
    ['a storage that is shorter than it says', { size: 12, shape: [3, 4], strides: [4, 1] }, /has 24 bytes/],
    ['a storage that is longer than it says', { size: 5, shape: [5], strides: [1] }, /has 24 bytes/],
    ['a storage of 2^50 values', { size: 2 ** 50 }, /should hold 1125899906842624 values/],
    ['a view of a storage', { view: [tuple(text('v'), integer(0), integer(6))] }, /very old torch/],
  ];
  for (const [what, parts, message] of badTensors) {
    it(`refuses ${what}`, async () => refused(await zip(pickle(tensor(parts))), message));
  }

  it('refuses zip files that are not sound', async () => {
    const path = await zip(pickle(tensor()));
    const sound = readFileSync(path);
    truncateSync(path, Math.floor(sound.length * 0.6));
    await refused(path, /zip structure is broken.*download it again/);
    const flipped = Buffer.from(sound);
    flipped[sound.indexOf(storageBytes(sixValues)) + 5]! ^= 1;
    writeFileSync(path, flipped);
    await refused(path, /damaged \(checksum differs\)/);
    writeFileSync(path, sound.subarray(50)); // cut in the middle of a name
    await refused(path, /it is not a torch file/);
    await refused(
      await zip(pickle(tensor()), { folder: 'a/b' }),
      /a zip file, but not of torch \(no data\.pkl\)/,
    );
    await refused(await zip(Buffer.concat([pickle(tensor()), bytes('x')])), /bytes follow its pickle/);
    await refused(await zip(pickle(tensor()), { records: { byteorder: 'big' } }), /big-endian/);
    assert.deepEqual(await read(await zip(pickle(tensor()), { compress: true })), [['', [2, 3], matrix]]);
  });

  /** A sound file, with Zip64 records that say where its directory lies. */
  async function zip64({ locator = 0n, directory = 0n, entries = 0n }): Promise<string> {
    const path = await zip(pickle(tensor()));
    const sound = readFileSync(path);
    const end = sound.subarray(sound.length - 22);
    const record = Buffer.alloc(56);
    record.write('PK\x06\x06', 'latin1');
    record.writeBigUInt64LE(44n, 4);
    record.writeBigUInt64LE(entries || BigInt(end.readUInt16LE(10)), 32);
    record.writeBigUInt64LE(directory || BigInt(end.readUInt32LE(16)), 48);
    const found = Buffer.alloc(20);
    found.write('PK\x06\x07', 'latin1');
    found.writeBigUInt64LE(locator || BigInt(sound.length - 22), 8);
    writeFileSync(path, Buffer.concat([sound.subarray(0, sound.length - 22), record, found, end]));
    return path;
  }

  /** A sound file whose directory entry of data.pkl points elsewhere. */
  async function displaced(field: 20 | 24 | 42, value: bigint): Promise<string> {
    const path = await zip(pickle(tensor()));
    const sound = readFileSync(path);
    const start = sound.readUInt32LE(sound.length - 6);
    const entry = Buffer.from(sound.subarray(start, start + 46));
    const name = sound.subarray(start + 46, start + 46 + entry.readUInt16LE(28));
    // Sizes of stored records must agree, so both are moved.
    const fields = field === 42 ? [42] : [20, 24];
    for (const place of fields) entry.writeUInt32LE(0xffffffff, place);
    const extra = Buffer.alloc(4 + 8 * fields.length);
    extra.writeUInt16LE(1);
    extra.writeUInt16LE(8 * fields.length, 2);
    fields.forEach((_, index) => extra.writeBigUInt64LE(value, 4 + 8 * index));
    entry.writeUInt16LE(extra.length + entry.readUInt16LE(30), 30);
    const rest = sound.subarray(start + 46 + name.length);
    writeFileSync(path, Buffer.concat([sound.subarray(0, start), entry, name, extra, rest]));
    return path;
  }

  it('reads Zip64 fields and refuses those that point out of the file', async () => {
    assert.deepEqual(await read(await zip64({})), [['', [2, 3], matrix]]);
    for (const position of [2n ** 20n, 2n ** 53n - 1n, 2n ** 53n + 2n ** 40n, 2n ** 63n, 2n ** 64n - 1n]) {
      await refused(await zip64({ locator: position }), /zip structure is broken.*points to byte/);
      await refused(await zip64({ directory: position }), /zip structure is broken.*points to byte/);
      await refused(await displaced(42, position), /zip structure is broken.*points to byte/);
      await refused(await displaced(20, position), /at most 33554432 are read|file bounds/);
    }
    await refused(await zip64({ entries: 2n ** 60n }), /it has 1152921504606847000 records/);
    await refused(await zip64({ entries: 7n }), /zip structure is broken/);
  });

  it('refuses a directory of endless names', async () => {
    const records = Object.fromEntries(
      Array.from({ length: 300 }, (_, index) => [`${'n'.repeat(65_000)}${String(index)}`, '']),
    );
    await refused(await zip(pickle(tensor()), { records }), /names of its records are too long/);
  });

  it('does not unpack a zip bomb', async () => {
    const size = 80 * 1024 * 1024;
    const bomb = pickle(tensor({ size: size / 4, shape: [size / 4], strides: [1] }));
    const path = await zip(bomb, { compress: true, records: { 'data/0': new Uint8Array(size) } });
    assert.ok(readFileSync(path).length < 200_000);
    await refused(path, /data\/0 has 83886080 bytes; at most 67108864 are read/);
  });

  it('refuses legacy files that are not sound', async () => {
    await refused(legacy(legacyFile({ magic: pickle(integer(5)) })), /not one of torch/);
    await refused(legacy(legacyFile({ protocol: pickle(integer(1002)) })), /format version is unknown/);
    const big = pickle('}', text('little_endian'), 0x89, 's');
    await refused(legacy(legacyFile({ machine: big })), /big-endian/);
    await refused(legacy(legacyFile({ keys: pickle(']') })), /32 bytes follow its last storage/);
    await refused(legacy(legacyFile({ keys: pickle(']', text('1'), 'a') })), /does not match its tensors/);
    await refused(
      legacy(legacyFile({ keys: pickle(']', text('0'), 'a', text('0'), 'a') })),
      /does not match/,
    );
    const sound = legacyFile();
    await refused(legacy(sound.subarray(0, sound.length - 1)), /cut off/);
    await refused(legacy(sound.subarray(0, sound.length - 26)), /cut off/);
    await refused(legacy(Buffer.concat([sound, bytes('x')])), /1 bytes follow its last storage/);
    const wrongCount = Buffer.from(sound);
    wrongCount.writeBigInt64LE(-1n, sound.length - 32);
    await refused(legacy(wrongCount), /holds -1 values instead of 6/);
    const root = pickle('(', tensor({ view: [bytes('N')] }), tensor({ size: 7, view: [bytes('N')] }), 't');
    await refused(legacy(legacyFile({ root })), /disagree on the storage 0/);
  });

  it('runs nothing', async () => {
    const marker = join(folder, 'pwned');
    const touch = tuple(text(`touch ${marker}`));
    const call = pickle(global('os', 'system'), touch, 'R');
    await refused(await zip(call), /asks for os\.system/);
    await refused(legacy(call), /asks for os\.system/);
    await refused(legacy(legacyFile({ root: call })), /asks for os\.system/);
    assert.ok(!existsSync(marker));
  });

  it('names files that are missing, empty, folders or pointers', async () => {
    await refused(join(folder, 'nowhere.pt'), /cannot be read/);
    await refused(folder, /is not a file/);
    await refused(legacy(Buffer.alloc(0)), /it is empty/);
    await refused(legacy(Buffer.from('version https://git-lfs.github.com/spec/v1\n')), /git-lfs pointer/);
    const npy = Buffer.from(`\x93NUMPY\x01\x00v\x00{${' '.repeat(117)}\n${'\0'.repeat(16)}`, 'latin1');
    for (const [content, message] of [
      [Buffer.from('<html><body>404</body></html>'), /is a web page.*download it again/],
      [Buffer.from('\n<!DOCTYPE html>\n<p>'), /is a web page/],
      [npy, /is a NumPy file; save the tensor with torch\.save or as safetensors/],
      [Buffer.from('[1, 2, 3]'), /is a JSON file/],
      [Buffer.from('{"a": [0.5]}'), /is a JSON file/],
      [Buffer.from('\x89HDF\r\n\x1a\n', 'latin1'), /is an HDF5 file/],
      [Buffer.from('GGUF\x03\0\0\0'), /is a GGUF file/],
      [Buffer.from('\x1f\x8b\x08\0\0', 'latin1'), /compressed with gzip/],
      [Buffer.from('%PDF-1.7\n'), /is a PDF document/],
      [
        Buffer.from('# Harbor notes, of the first week\n'),
        /it is not a torch file; expected what torch\.save writes/,
      ],
      [Buffer.from('LICENCE: MIT\n'), /not a torch file|pickle is broken|integer that is none/],
      [Buffer.from('just bytes \xff\xfe', 'latin1'), /not a torch file/],
    ] as const) {
      await refused(legacy(content), message);
    }
    const path = await writeZip(join(folder, 'arrays.pt'), Buffer.alloc(0), {
      records: { 'rows.npy': npy },
      folder: 'a/b',
    });
    await refused(path, /is a NumPy archive \(\.npz\)/);
  });

  it('refuses tensors that are nested absurdly deep', async () => {
    const deep = bytes('](', ']('.repeat(40), tensor(), 'e'.repeat(41));
    await refused(await zip(pickle(deep)), /nests its values deeper/);
  });

  it('writes what it reads, the same bytes every time', async () => {
    const path = join(folder, 'tokens ü.pt');
    await writeTorchTensor(path, sixValues, [2, 3], { 'note.txt': 'hello' });
    const first = readFileSync(path);
    await writeTorchTensor(path, sixValues, [2, 3], { 'note.txt': 'hello' });
    assert.deepEqual(readFileSync(path), first);
    await using file = await TorchFile.open(path);
    assert.equal(await file.readExtra('note.txt'), 'hello');
    assert.equal(await file.readExtra('other.txt'), undefined);
    assert.deepEqual(await read(path), [['', [2, 3], matrix]]);
    for (const shape of [[6], [1, 2, 3], [1, 1, 2, 3], [70_000, 1], [300, 300]]) {
      const values = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(3);
      await writeTorchTensor(path, values, shape);
      assert.deepEqual((await read(path))[0], ['', shape, [...values]]);
    }
  });
});
