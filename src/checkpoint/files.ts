import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf, UserError } from '../protocol/errors.ts';

/** Largest JSON file that is read; a tokenizer.json of a large vocabulary has tens of megabytes. */
const maximumJsonBytes = 256 * 1024 * 1024;

/** The `code` of a system error such as ENOENT, if it has one. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

/** Whether the path exists (a dangling symlink does not). */
export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/** A plain object, as JSON files hold them. */
export type JsonObject = Record<string, unknown>;

/** Whether a JSON value is an object (not a list, not null). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The text of a file that cannot be large.
 *
 * @throws UserError if it is missing, unreadable or larger than `most` bytes
 */
export async function readSmallFile(path: string, most: number): Promise<string> {
  return (await readSmallBytes(path, most)).toString('utf8');
}

/** Like readSmallFile, before it is known how the text is encoded. */
export async function readSmallBytes(path: string, most: number): Promise<Buffer> {
  try {
    const stats = await stat(path);
    if (!stats.isFile()) throw new UserError(`${path} is not a file.`);
    if (stats.size > most) throw new UserError(`${path} has ${stats.size} bytes; at most ${most} are read.`);
    return await readFile(path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      errorCode(error) === 'ENOENT' ? `${path} is missing.` : `${path} cannot be read: ${messageOf(error)}`,
    );
  }
}

/**
 * The object that a JSON file holds.
 *
 * @throws UserError if the file is missing, unreadable, no JSON or not an object
 */
export async function readJsonObject(path: string): Promise<JsonObject> {
  const text = await readSmallFile(path, maximumJsonBytes);
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    const pointer = text.startsWith('version https://git-lfs');
    throw new UserError(
      pointer
        ? `${path} is a git-lfs pointer, not the file itself: fetch it with "git lfs pull".`
        : `${path} is not valid JSON (${messageOf(error)}): download it again.`,
    );
  }
  if (!isJsonObject(value)) throw new UserError(`${path} does not hold a JSON object.`);
  return value;
}

/** Like readJsonObject, but undefined if there is no such file. */
export async function readOptionalJsonObject(path: string): Promise<JsonObject | undefined> {
  return (await exists(path)) ? readJsonObject(path) : undefined;
}

/** The system refuses single reads of 2 GiB; smaller steps also keep its buffers small. */
const readStep = 256 * 1024 * 1024;

/**
 * Reads exactly `length` bytes at `position`.
 *
 * @throws UserError if the file ends before
 */
export async function readExactly(
  handle: FileHandle,
  path: string,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(new ArrayBuffer(length));
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, Math.min(readStep, length - done), position + done);
    if (bytesRead === 0) {
      throw new UserError(
        `${path} ends at byte ${position + done}, ${length - done} bytes short: download it again.`,
      );
    }
    done += bytesRead;
  }
  return bytes;
}

/**
 * Writes a file so that readers see the old content or the new, never a part: `write` fills a temporary file
 * beside it, which then takes its name.
 */
export async function writeAtomically(
  path: string,
  write: (handle: FileHandle) => Promise<void>,
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  let handle: FileHandle;
  try {
    handle = await open(temporary, 'wx');
  } catch (error) {
    throw new UserError(`Cannot write ${path}: ${messageOf(error)}`);
  }
  try {
    await write(handle);
    await handle.sync();
    await handle.close();
    await rename(temporary, path);
  } catch (error) {
    await handle.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
}

/**
 * A program of its own (a process, a thread) that lies beside a module: as source, or as a bundle beside or above the
 * bundle's chunks.
 *
 * @param module the module's import.meta.url
 * @param name the program's file name without its ending
 */
export function programBeside(module: string, name: string): string {
  const names = [`./${name}.ts`, `./${name}.mjs`, `../${name}.mjs`];
  const files = names.map((file) => fileURLToPath(new URL(file, module)));
  return files.find((file) => existsSync(file)) ?? files[0]!;
}
