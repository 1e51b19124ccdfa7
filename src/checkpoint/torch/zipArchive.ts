/** The zip file that `torch.save` writes. Its directory is read by yauzl, through a reader that checks every position. */
import type { FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { crc32, inflateRaw } from 'node:zlib';
import { fromRandomAccessReaderPromise, RandomAccessReader } from 'yauzl';
import type { Entry, ZipFile } from 'yauzl';
import { messageOf } from '../../protocol/errors.ts';
import { readExactly } from '../files.ts';
import { openForReading } from '../safetensors.ts';
import { PickleError } from './pickleValues.ts';
import { printable } from './torchGlobals.ts';

/** A large model has some thousand tensors. */
const maximumRecords = 50_000;

/** Names and notes of all records together. */
const maximumDirectoryBytes = 16 * 1024 * 1024;

/** torch stores its records uncompressed; of other writers' compressed ones no more than this is unpacked. */
const maximumUnpackedBytes = 64 * 1024 * 1024;

const stored = 0;
const deflated = 8;

const inflate = promisify(inflateRaw);

/**
 * A file as yauzl reads it: a position that the file does not have is an error of the read (Node throws for some, out
 * of reach of the caller), and what yauzl throws while it looks at what was read ends the archive, not the process.
 */
class CheckedReader extends RandomAccessReader {
  readonly handle: FileHandle;
  readonly size: number;
  readonly #failure = Promise.withResolvers<never>();

  constructor(handle: FileHandle, size: number) {
    super();
    this.handle = handle;
    this.size = size;
    this.#failure.promise.catch(() => undefined);
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    const inside = Number.isSafeInteger(position) && position >= 0 && position + length <= this.size;
    const reading = inside
      ? this.handle.read(buffer, offset, length, position)
      : Promise.reject(new Error(`it points to byte ${position} of ${this.size}`));
    reading
      .then(
        ({ bytesRead }) => callback(null, bytesRead),
        (error: unknown) => callback(error as Error),
      )
      .catch((error: unknown) => this.#failure.reject(error));
  }

  override close(callback: (error: Error | null) => void): void {
    void this.handle.close().finally(() => callback(null));
  }

  /** What `work` gives, unless yauzl fails meanwhile. */
  during<Result>(work: Promise<Result>): Promise<Result> {
    return Promise.race([work, this.#failure.promise]);
  }
}

/** The records of a torch zip: everything below the folder that holds data.pkl. */
export class ZipArchive {
  readonly #path: string;
  readonly #reader: CheckedReader;
  readonly #zip: ZipFile;
  readonly #records: ReadonlyMap<string, Entry>;

  private constructor(
    path: string,
    reader: CheckedReader,
    zip: ZipFile,
    records: ReadonlyMap<string, Entry>,
  ) {
    this.#path = path;
    this.#reader = reader;
    this.#zip = zip;
    this.#records = records;
  }

  /** @throws PickleError if the file is no readable zip with one data.pkl */
  static async open(path: string): Promise<ZipArchive> {
    const handle = await openForReading(path);
    const reader = new CheckedReader(handle, (await handle.stat()).size);
    try {
      const options = { lazyEntries: true, autoClose: false };
      const zip = await reader.during(fromRandomAccessReaderPromise(reader, reader.size, options));
      return new ZipArchive(path, reader, zip, await reader.during(readDirectory(zip)));
    } catch (error) {
      await handle.close();
      throw broken(error);
    }
  }

  has(record: string): boolean {
    return this.#records.has(record);
  }

  /** Bytes of a record, as the directory states them. */
  size(record: string): number {
    return this.#find(record).uncompressedSize;
  }

  #find(record: string): Entry {
    const entry = this.#records.get(record);
    if (!entry) throw new PickleError(`its record ${printable(record)} is missing.`);
    return entry;
  }

  /** The content of a record of at most `limit` bytes; its size and checksum are verified. */
  async read(record: string, limit: number): Promise<Buffer> {
    const entry = this.#find(record);
    const { compressionMethod, compressedSize, uncompressedSize } = entry;
    const most = compressionMethod === stored ? limit : Math.min(limit, maximumUnpackedBytes);
    const largest = Math.max(compressedSize, uncompressedSize);
    if (largest > most) {
      throw new PickleError(
        `its record ${printable(record)} has ${largest} bytes; at most ${most} are read.`,
      );
    }
    let content: Buffer;
    try {
      const header = this.#zip.readLocalFileHeaderPromise(entry, { minimal: true });
      const { fileDataStart } = await this.#reader.during(header);
      const bytes = await readExactly(this.#reader.handle, this.#path, fileDataStart, compressedSize);
      content = await unpacked(Buffer.from(bytes.buffer), compressionMethod, uncompressedSize);
    } catch (error) {
      throw broken(error);
    }
    // Writers that skip checksums leave 0.
    if (entry.crc32 !== 0 && crc32(content) !== entry.crc32) {
      throw new PickleError(`its record ${printable(record)} is damaged (checksum differs).`);
    }
    return content;
  }

  close(): void {
    this.#zip.close();
  }
}

/** @throws Error if it is not exactly `size` bytes */
async function unpacked(bytes: Buffer, compressionMethod: number, size: number): Promise<Buffer> {
  if (compressionMethod === stored) return bytes;
  if (compressionMethod !== deflated) throw new Error(`compression method ${compressionMethod} is unknown`);
  // One more than expected tells too many from enough.
  const content = await inflate(bytes, { maxOutputLength: size + 1 });
  if (content.length !== size) throw new Error(`a record has ${content.length} bytes instead of ${size}`);
  return content;
}

async function readDirectory(zip: ZipFile): Promise<Map<string, Entry>> {
  if (zip.entryCount > maximumRecords) throw new PickleError(`it has ${zip.entryCount} records.`);
  const entries = new Map<string, Entry>();
  let bytes = 0;
  for await (const entry of zip.eachEntry()) {
    bytes += entry.fileNameLength + entry.extraFieldLength + entry.fileCommentLength;
    if (bytes > maximumDirectoryBytes) throw new PickleError('the names of its records are too long.');
    if (entries.has(entry.fileName)) {
      throw new PickleError(`its record ${printable(entry.fileName)} is there twice.`);
    }
    if (entry.isEncrypted()) throw new PickleError('it is an encrypted zip file.');
    entries.set(entry.fileName, entry);
  }
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1) {
    const names = [...entries.keys()];
    if (names.some((name) => name.endsWith('.npy'))) {
      throw new PickleError(
        'it is a NumPy archive (.npz); save the tensor with torch.save or as safetensors.',
      );
    }
    throw new PickleError(
      `it is a zip file, but not of torch (${pickles.length === 0 ? 'no' : 'more than one'} data.pkl).`,
    );
  }
  const folder = pickles[0]!.slice(0, -'data.pkl'.length);
  const records = new Map<string, Entry>();
  for (const [name, entry] of entries) {
    if (name.startsWith(folder)) records.set(name.slice(folder.length), entry);
  }
  return records;
}

function broken(error: unknown): PickleError {
  if (error instanceof PickleError) return error;
  return new PickleError(`its zip structure is broken (${printable(messageOf(error))}): download it again.`);
}
