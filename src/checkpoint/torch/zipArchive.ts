import { buffer } from 'node:stream/consumers';
import { crc32 } from 'node:zlib';
import { openPromise } from 'yauzl';
import type { Entry, ZipFile } from 'yauzl';
import { messageOf } from '../../protocol/errors.ts';
import { PickleError } from './pickleValues.ts';
import { printable } from './torchGlobals.ts';

/** A large model has some thousand tensors. */
const maximumRecords = 50_000;

/** torch stores its records uncompressed; of other writers' compressed ones no more than this is unpacked. */
const maximumUnpackedBytes = 64 * 1024 * 1024;

/** The records of a torch zip: everything below the folder that holds data.pkl. */
export class ZipArchive {
  readonly #zip: ZipFile;
  readonly #records: ReadonlyMap<string, Entry>;

  private constructor(zip: ZipFile, records: ReadonlyMap<string, Entry>) {
    this.#zip = zip;
    this.#records = records;
  }

  /** @throws PickleError if the file is no readable zip with one data.pkl */
  static async open(path: string): Promise<ZipArchive> {
    let zip: ZipFile;
    try {
      zip = await openPromise(path, { lazyEntries: true, autoClose: false });
    } catch (error) {
      throw broken(error);
    }
    try {
      return new ZipArchive(zip, await readDirectory(zip));
    } catch (error) {
      zip.close();
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
    const most = entry.compressionMethod === 0 ? limit : Math.min(limit, maximumUnpackedBytes);
    if (entry.uncompressedSize > most) {
      throw new PickleError(
        `its record ${printable(record)} has ${entry.uncompressedSize} bytes; at most ${most} are read.`,
      );
    }
    let content: Buffer;
    try {
      content = await buffer(await this.#zip.openReadStreamPromise(entry));
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

async function readDirectory(zip: ZipFile): Promise<Map<string, Entry>> {
  if (zip.entryCount > maximumRecords) throw new PickleError(`it has ${zip.entryCount} records.`);
  const entries = new Map<string, Entry>();
  for await (const entry of zip.eachEntry()) {
    if (entries.has(entry.fileName)) {
      throw new PickleError(`its record ${printable(entry.fileName)} is there twice.`);
    }
    if (entry.isEncrypted()) throw new PickleError('it is an encrypted zip file.');
    entries.set(entry.fileName, entry);
  }
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1) {
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
