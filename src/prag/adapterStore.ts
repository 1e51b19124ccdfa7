/**
 * Trained adapters on disk, one PEFT folder each, so that Python's peft can load them, too. Bounded in bytes: the least
 * recently used go first.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { errorCode, exists, readSmallFile } from '../checkpoint/files.ts';
import { readLoraAdapter, writeAdapter } from '../checkpoint/lora.ts';
import type { LoraAdapter, ModelConfig } from '../checkpoint/types.ts';
import { userCacheFolder } from '../checkpoint/userCache.ts';
import { UserError } from '../protocol/errors.ts';
import { finite, listOf, longText, parseValidated, shortText } from '../protocol/schema.ts';

/** What is kept about an adapter beside it, in `passage.json`. */
export interface AdapterRecord {
  passage: string;
  /** The model it was trained for, as the user named it. */
  model: string;
  /** Mean loss per token before each step. */
  losses: number[];
  /** ISO 8601 */
  createdAt: string;
}

export interface StoredAdapter extends AdapterRecord {
  key: string;
  folder: string;
  bytes: number;
  lastUsed: Date;
}

export interface AdapterIdentity {
  /** modelKey of the checkpoint. */
  model: string;
  /** Of passage, recipe, start and augmentation. */
  key: string;
}

const recordFile = 'passage.json';
const mostRecordBytes = 16 * 1024 ** 2;
const recordSchema: v.GenericSchema<unknown, AdapterRecord> = v.object({
  passage: longText,
  model: shortText,
  losses: listOf(finite, 100_000),
  createdAt: shortText,
});
const temporaryEnd = '.tmp';
/** A half-written adapter of this age has no process any more that will finish it. */
const abandonedAfterMs = 60 * 60 * 1000;
export const defaultStoreBytes = 2 * 1024 ** 3;

/** Where adapters are kept if nothing else is said: the user's cache folder. */
export function defaultStoreFolder(): string {
  return join(userCacheFolder(), 'adapters');
}

export class AdapterStore {
  readonly folder: string;
  private readonly maximumBytes: number;

  /** @param folder is created when something is stored */
  constructor(folder: string, maximumBytes = defaultStoreBytes) {
    this.folder = folder;
    this.maximumBytes = maximumBytes;
  }

  /** A stored adapter, which counts as used now; undefined if there is none, or its files are damaged: then they go. */
  async read(
    identity: AdapterIdentity,
    config: ModelConfig,
  ): Promise<{ adapter: LoraAdapter; record: AdapterRecord } | undefined> {
    const folder = this.folderOf(identity);
    if (!(await exists(join(folder, recordFile)))) return undefined;
    try {
      const record = await readRecord(folder);
      const adapter = await readLoraAdapter(folder, config);
      const now = new Date();
      await utimes(join(folder, recordFile), now, now);
      return { adapter, record };
    } catch (error) {
      // another process is removing it, or the disk lost part of it: it is trained again
      if (error instanceof UserError) await this.remove({ folder });
      return undefined;
    }
  }

  /** Stores an adapter (all of it, or nothing) and removes the least recently used beyond the size limit. */
  async write(
    identity: AdapterIdentity,
    adapter: LoraAdapter,
    record: AdapterRecord,
    loraAlpha: number,
  ): Promise<string> {
    const folder = this.folderOf(identity);
    const temporary = `${folder}.${randomBytes(6).toString('hex')}${temporaryEnd}`;
    try {
      await writeAdapter(temporary, adapter, { baseModel: record.model, loraAlpha });
      await writeFile(join(temporary, recordFile), `${JSON.stringify(record, null, 2)}\n`);
      await rm(folder, { recursive: true, force: true });
      await rename(temporary, folder);
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      // another process has just stored the same adapter
      if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error;
    }
    await this.shrink(folder);
    return folder;
  }

  /** Everything that is stored, the most recently used first. */
  async list(): Promise<StoredAdapter[]> {
    const found: StoredAdapter[] = [];
    for (const model of await foldersIn(this.folder)) {
      for (const key of await foldersIn(join(this.folder, model))) {
        const folder = join(this.folder, model, key);
        try {
          const { mtime } = await stat(join(folder, recordFile));
          const bytes = await sizeOf(folder);
          found.push({ ...(await readRecord(folder)), key, folder, bytes, lastUsed: mtime });
        } catch {
          // not one of ours, or being removed
        }
      }
    }
    return found.sort((a, b) => b.lastUsed.getTime() - a.lastUsed.getTime());
  }

  async remove({ folder }: Pick<StoredAdapter, 'folder'>): Promise<void> {
    await rm(folder, { recursive: true, force: true });
  }

  /** Where an adapter lies, whether it is there or not. */
  folderOf({ model, key }: AdapterIdentity): string {
    return join(this.folder, model, key);
  }

  /** @param kept is never removed: it was stored a moment ago and is about to be used */
  private async shrink(kept: string): Promise<void> {
    await this.removeAbandoned();
    let bytes = 0;
    for (const stored of await this.list()) {
      bytes += stored.bytes;
      if (bytes > this.maximumBytes && stored.folder !== kept) await this.remove(stored);
    }
  }

  /** What killed processes left: it counts as nothing and would stay for ever. */
  private async removeAbandoned(): Promise<void> {
    for (const model of await foldersIn(this.folder)) {
      const folder = join(this.folder, model);
      for (const name of await readdir(folder)) {
        if (!name.endsWith(temporaryEnd)) continue;
        const stats = await stat(join(folder, name)).catch(() => undefined);
        if (stats && Date.now() - stats.mtimeMs > abandonedAfterMs) {
          await rm(join(folder, name), { recursive: true, force: true });
        }
      }
    }
  }
}

async function readRecord(folder: string): Promise<AdapterRecord> {
  const file = join(folder, recordFile);
  return parseValidated(recordSchema, await readSmallFile(file, mostRecordBytes), file);
}

async function foldersIn(folder: string): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.endsWith(temporaryEnd))
    .map(({ name }) => name);
}

async function sizeOf(folder: string): Promise<number> {
  const sizes = (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
