import { basename, extname } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { ZipFile } from 'yazl';
import { narrowFloat32 } from '../elementTypes.ts';
import { writeAtomically } from '../files.ts';

/**
 * Writes one float32 tensor as `torch.save(tensor, path)` does, readable by `torch.load(weights_only=True)`.
 *
 * @param values row-major
 * @param extra texts kept as records that torch ignores, by name
 */
export async function writeTorchTensor(
  path: string,
  values: Float32Array,
  shape: readonly number[],
  extra: Readonly<Record<string, string>> = {},
): Promise<void> {
  const archive = await torchArchive(path, values, shape, extra);
  await writeAtomically(path, (handle) => handle.writeFile(archive));
}

async function torchArchive(
  path: string,
  values: Float32Array,
  shape: readonly number[],
  extra: Readonly<Record<string, string>>,
): Promise<Buffer> {
  const zip = new ZipFile();
  // As torch does, the folder inside is named after the file; names outside ASCII become "archive".
  const stem = basename(path, extname(path));
  const folder = /^[\w.-]+$/.test(stem) ? stem : 'archive';
  const add = (name: string, content: Uint8Array | string): void => {
    zip.addBuffer(Buffer.from(content), `${folder}/${name}`, {
      compress: false,
      // Fixed, so that equal tensors give equal files.
      mtime: new Date(1980, 0, 1),
      forceDosTimestamp: true,
    });
  };
  add('data.pkl', tensorPickle(values.length, shape));
  add('byteorder', 'little');
  add('data/0', narrowFloat32(values, 'F32'));
  add('version', '3\n');
  for (const [name, text] of Object.entries(extra)) add(`extra/${name}`, text);
  zip.end();
  return buffer(zip.outputStream);
}

/**
 * The pickle (protocol 2) of a contiguous float32 tensor in storage "0", byte for byte as torch writes it:
 * `_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)`.
 */
function tensorPickle(count: number, shape: readonly number[]): Buffer {
  const parts: (Buffer | string)[] = [];
  let memo = 0;
  // Python's pickler stores each value for later use, even those that are used once.
  const remember = (): void => void parts.push(Buffer.from([0x71, memo++]));
  const text = (value: string): void => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(value.length);
    parts.push('X', length, value);
    remember();
  };
  const global = (module: string, name: string): void => {
    parts.push(`c${module}\n${name}\n`);
    remember();
  };
  const tuple = (sizes: readonly number[]): void => {
    if (sizes.length > 3) parts.push('(');
    for (const size of sizes) parts.push(integer(size));
    if (sizes.length === 0) parts.push(')');
    else {
      parts.push(sizes.length > 3 ? 't' : Buffer.from([0x84 + sizes.length]));
      remember();
    }
  };

  parts.push(Buffer.from([0x80, 2])); // PROTO 2
  global('torch._utils', '_rebuild_tensor_v2');
  parts.push('(', '(');
  text('storage');
  global('torch', 'FloatStorage');
  text('0');
  text('cpu');
  parts.push(integer(count), 't');
  remember();
  parts.push('Q', integer(0)); // the storage; offset 0
  tuple(shape);
  tuple(shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1)));
  parts.push(Buffer.from([0x89])); // requires_grad = False
  global('collections', 'OrderedDict');
  parts.push(')R');
  remember();
  parts.push('t');
  remember();
  parts.push('R');
  remember();
  parts.push('.');
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)));
}

/** A non-negative integer in the shortest form: BININT1, BININT2, BININT. */
function integer(value: number): Buffer {
  if (value < 0x100) return Buffer.from([0x4b, value]);
  const bytes = Buffer.alloc(value < 0x10000 ? 3 : 5);
  if (value < 0x10000) {
    bytes.write('M', 'latin1');
    bytes.writeUInt16LE(value, 1);
  } else {
    bytes.write('J', 'latin1');
    bytes.writeInt32LE(value, 1);
  }
  return bytes;
}
