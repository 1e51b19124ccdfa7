/**
 * GGUF files: the header (metadata and list of tensors) of one file or of all parts of a split one. The format is
 * described in ggml's docs/gguf.md. Nothing that the header says is believed before it is checked against the file.
 */
import { realpath, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { messageOf, UserError } from '../../protocol/errors.ts';
import { errorCode, exists } from '../files.ts';
import { quoted } from '../quotedText.ts';
import { openForReading } from '../safetensors.ts';
import type { TensorLocation } from '../types.ts';
import { HeaderReader } from './headerReader.ts';
import { readMetadata } from './metadata.ts';
import type { GgufMetadata } from './metadata.ts';
import { readTensorInfos } from './tensorInfos.ts';

export interface GgufFile {
  /** As given; the first part, where the model is split. */
  path: string;
  /** The real paths of all parts. */
  files: string[];
  version: number;
  /** Bytes of all parts. */
  bytes: number;
  /** That of the first part. */
  metadata: GgufMetadata;
  /** By the names in the file; a shape is (rows, columns), the reverse of what the file says. */
  tensors: ReadonlyMap<string, TensorLocation>;
}

export interface OpenOptions {
  /** False: long lists in the metadata (vocabularies) are checked but not kept. */
  arrays?: boolean;
}

/** Where the format puts data if the metadata are silent. */
const defaultAlignment = 32;
const maximumAlignment = 2 ** 20;

/** First bytes of the formats before GGUF, and of a GGUF written backwards. */
const otherMagics: Readonly<Record<string, string>> = {
  lmgg: 'a GGML file, of the time before GGUF',
  fmgg: 'a GGMF file, of the time before GGUF',
  tjgg: 'a GGJT file, of the time before GGUF',
  algg: 'a GGLA adapter, of the time before GGUF',
  FUGG: 'a big-endian file',
};

/** Whether the file begins as GGUF files do, whatever its name. False if it cannot be read. */
export async function isGguf(path: string): Promise<boolean> {
  const stats = await stat(path).catch(() => undefined);
  if (!stats?.isFile() || stats.size < 4) return false;
  const handle = await openForReading(path);
  try {
    const { buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    return buffer.toString('latin1') === 'GGUF';
  } finally {
    await handle.close();
  }
}

/**
 * Reads and checks the header of a GGUF file. Of a split file (`NAME-00001-of-00003.gguf`) any part may be given.
 *
 * @throws UserError that says what is missing, cut off, inconsistent or not supported
 */
export async function openGguf(path: string, options: OpenOptions = {}): Promise<GgufFile> {
  const arrays = options.arrays ?? true;
  const given = await readPart(path, arrays);
  if (given.split.count <= 1) {
    const { version, size: bytes, metadata, tensors, file } = given;
    return { path, files: [file], version, bytes, metadata, tensors };
  }
  return joinParts(path, given, arrays);
}

interface Part {
  path: string;
  /** The real path. */
  file: string;
  size: number;
  version: number;
  metadata: GgufMetadata;
  tensors: Map<string, TensorLocation>;
  split: { number: number; count: number; tensors: number | undefined };
}

async function readPart(path: string, arrays: boolean): Promise<Part> {
  const file = await realpath(path).catch((error: unknown) => {
    throw new UserError(
      errorCode(error) === 'ENOENT' ? `${path} is missing.` : `${path} cannot be read: ${messageOf(error)}`,
    );
  });
  const stats = await stat(file);
  if (!stats.isFile()) throw new UserError(`${path} is not a file.`);
  const handle: FileHandle = await openForReading(file);
  try {
    const reader = new HeaderReader(handle.fd, path, stats.size);
    const version = readVersion(reader);
    reader.within = 'the number of tensors and metadata entries';
    const tensorCount = reader.count();
    const keyCount = reader.count();
    const metadata = readMetadata(reader, keyCount, arrays);
    const tensors = readTensorInfos(reader, tensorCount, alignmentOf(metadata), file);
    const split = {
      number: metadata.integerIn('split.no', 0, 99998, 0),
      count: metadata.integerIn('split.count', 0, 99999, 1),
      tensors: metadata.integerIn('split.tensors.count', 0, 2 ** 31, undefined),
    };
    return { path, file, size: stats.size, version, metadata, tensors, split };
  } finally {
    await handle.close();
  }
}

function readVersion(reader: HeaderReader): number {
  const { path, size } = reader;
  if (size < 24) throw new UserError(`${path} is no GGUF file: it has only ${size} bytes.`);
  const magic = Buffer.from([reader.uint8(), reader.uint8(), reader.uint8(), reader.uint8()]).toString(
    'latin1',
  );
  if (magic !== 'GGUF') {
    throw new UserError(
      `${path} is ${otherMagics[magic] ?? 'no GGUF file'}: it begins with ${quoted(magic)}, expected "GGUF". ` +
        'Download the model as a GGUF file.',
    );
  }
  const version = reader.uint32();
  if (version === 2 || version === 3) return version;
  const bigEndian = version !== 0 && version % 65536 === 0;
  throw new UserError(
    `${path} is a GGUF file ${bigEndian ? 'in big-endian byte order' : `of version ${version}`}; ` +
      'versions 2 and 3 in little-endian order are read. Download a newer file of the model.',
  );
}

function alignmentOf(metadata: GgufMetadata): number {
  const alignment = metadata.integer('general.alignment', defaultAlignment);
  if (alignment < 1 || alignment > maximumAlignment || !Number.isInteger(Math.log2(alignment))) {
    throw metadata.error('general.alignment', `a power of two up to ${maximumAlignment}`);
  }
  return alignment;
}

/** The paths of all parts, from the path of one: the format fixes how the files are named. */
function partPaths(part: Part): string[] {
  const { count, number } = part.split;
  const digits = (n: number): string => String(n).padStart(5, '0');
  const ending = `-${digits(number + 1)}-of-${digits(count)}.gguf`;
  // The Hub's cache has links with the right name; the path that was given comes first.
  const named = [part.path, part.file].find((path) => basename(path).endsWith(ending));
  if (number >= count || named === undefined) {
    throw new UserError(
      `${part.path} is part ${number + 1} of ${count} of a model, and the name of such a part ends in ` +
        `"${ending}": the other parts cannot be found. Give the file its name back.`,
    );
  }
  const stem = basename(named).slice(0, -ending.length);
  return Array.from({ length: count }, (_, index) =>
    join(dirname(named), `${stem}-${digits(index + 1)}-of-${digits(count)}.gguf`),
  );
}

async function joinParts(path: string, given: Part, arrays: boolean): Promise<GgufFile> {
  const paths = partPaths(given);
  for (const other of paths) {
    if (await exists(other)) continue;
    throw new UserError(
      `${path} is one of ${paths.length} parts, and ${basename(other)} is missing beside it. Download all parts.`,
    );
  }
  const parts: Part[] = [];
  const tensors = new Map<string, TensorLocation>();
  for (const [index, other] of paths.entries()) {
    const part = index === given.split.number ? given : await readPart(other, arrays && index === 0);
    if (part.split.number !== index || part.split.count !== paths.length) {
      throw new UserError(
        `${other} says that it is part ${part.split.number + 1} of ${part.split.count}, expected part ${index + 1} ` +
          `of ${paths.length}: the parts are not of the same model. Download all parts again.`,
      );
    }
    for (const [name, tensor] of part.tensors) {
      if (tensors.has(name))
        throw new UserError(`${other} holds tensor ${quoted(name)}, as a part before it does.`);
      tensors.set(name, tensor);
    }
    parts.push(part);
  }
  const expected = parts[0]!.split.tensors;
  if (expected !== undefined && expected !== tensors.size) {
    throw new UserError(
      `${path}: its parts hold ${tensors.size} tensors, expected ${expected}: they are not of the same model. ` +
        'Download all parts again.',
    );
  }
  const { version, metadata } = parts[0]!;
  const bytes = parts.reduce((sum, part) => sum + part.size, 0);
  return { path: paths[0]!, files: parts.map((part) => part.file), version, bytes, metadata, tensors };
}
