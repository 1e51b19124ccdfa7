/** What a store of models is: a program's folders on this machine that hold GGUF files. */
import { readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { environmentCacheDir } from '../environment.ts';
import { findFiles } from '../findFiles.ts';
import { ggufChoices, isGgufName, pathWithoutEnding } from '../ggufNames.ts';

/** Where stores look. */
export interface StoreEnvironment {
  home: string;
  variables: Readonly<Record<string, string | undefined>>;
  platform: NodeJS.Platform;
  /** The Hub's cache. */
  cacheDir: string;
}

/** A model that a store has, before its file is looked into. */
export interface StoredModel {
  /** What the user types: its own on this machine, and the same tomorrow. */
  name: string;
  /** The file to open (the first part); null: the store has none that could be. */
  path: string | null;
  /** Why it cannot run, as far as the store's own records tell. */
  problem?: string;
}

export interface ModelStore {
  id: string;
  /** For people. */
  title: string;
  /** Never fails: what cannot be read is left out, or listed with its problem. */
  list: (environment: StoreEnvironment) => Promise<StoredModel[]>;
}

/** This process's environment. */
export function storeEnvironment(): StoreEnvironment {
  return {
    ...{ home: homedir(), variables: process.env, platform: process.platform },
    cacheDir: environmentCacheDir(),
  };
}

/** Larger records of a store are not read. */
const mostRecordBytes = 4e6;
/** An object from a small JSON file; undefined if it is none. */
export async function readRecord(file: string): Promise<Record<string, unknown> | undefined> {
  try {
    const stats = await stat(file);
    if (!stats.isFile() || stats.size > mostRecordBytes) return undefined;
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** The models in GGUF files below a folder, named `id:path` without the ending. */
export async function modelsOfFolder(id: string, folder: string, depth: number): Promise<StoredModel[]> {
  const choices = ggufChoices(await findFiles(folder, depth, isGgufName));
  return choices.map((choice) => ({
    name: `${id}:${pathWithoutEnding(choice.path)}`,
    path: join(folder, choice.path),
    ...missingPartsProblem(choice),
  }));
}

/** Why a split file cannot be opened; nothing if all its parts are there. */
export function missingPartsProblem(choice: {
  path: string;
  missingParts: readonly number[];
  files: readonly unknown[];
}): { problem?: string } {
  const { missingParts, files, path } = choice;
  if (missingParts.length === 0) return {};
  const count = files.length + missingParts.length;
  const listed = missingParts.slice(0, 10).join(', ') + (missingParts.length > 10 ? ', …' : '');
  const which = missingParts.length === 1 ? `part ${listed} is` : `parts ${listed} are`;
  return {
    problem: `${basename(path)} is one of ${count} parts, and ${which} missing: get the whole model.`,
  };
}
