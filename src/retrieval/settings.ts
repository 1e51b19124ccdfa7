/** Settings of an index. */
import { UserError } from '../protocol/errors.ts';

/** What shapes an index. Stored in it; a change rebuilds only what it must. */
export interface IndexSettings {
  /** Words a chunk should have. */
  chunkWords: number;
  /** Whether comments and docstrings of source files are documents too. */
  sourceCode: boolean;
  /** Whether .gitignore files are obeyed (.springignore files always are). */
  useGitignore: boolean;
  /** Globs of files and folders that are left out, as in the editor's `files.exclude`. */
  exclude: string[];
  /** Whether symbolic links that lead out of the workspace folder are followed. */
  followLinks: boolean;
  /** Text files larger than this are left out, in bytes. */
  maxTextBytes: number;
  /** Files with pictures in them (PDF, DOCX, notebooks) larger than this are left out, in bytes. */
  maxMediaBytes: number;
  /** Folder of an embedding model in sentence-transformers layout; null: BM25 alone. */
  embedder: string | null;
}

export const defaultSettings: Readonly<IndexSettings> = {
  chunkWords: 100,
  sourceCode: false,
  useGitignore: true,
  exclude: [],
  followLinks: true,
  maxTextBytes: 2 * 1024 * 1024,
  maxMediaBytes: 64 * 1024 * 1024,
  embedder: null,
};

/** @throws UserError naming the setting that makes no sense. */
export function checkSettings(settings: IndexSettings): void {
  if (!Number.isInteger(settings.chunkWords) || settings.chunkWords < 20 || settings.chunkWords > 2000) {
    throw new UserError(
      `Chunks of ${settings.chunkWords} words are not possible; choose a whole number from 20 to 2000.`,
    );
  }
  for (const key of ['maxTextBytes', 'maxMediaBytes'] as const) {
    if (!(settings[key] > 0))
      throw new UserError(`${key} is ${settings[key]}; it must be a positive number of bytes.`);
  }
}

/** Settings as they are stored; what is absent, or makes no sense, is as by default. */
export function parseSettings(stored: string | undefined): IndexSettings {
  try {
    const values = JSON.parse(stored ?? '{}') as Record<string, unknown>;
    const known = Object.entries(values).filter(([key, value]) => isOfType(key, value));
    const settings = { ...defaultSettings, ...(Object.fromEntries(known) as Partial<IndexSettings>) };
    checkSettings(settings);
    return settings;
  } catch {
    return { ...defaultSettings };
  }
}

function isOfType(key: string, value: unknown): boolean {
  if (!Object.hasOwn(defaultSettings, key)) return false;
  if (key === 'embedder') return value === null || typeof value === 'string';
  if (key === 'exclude') return Array.isArray(value) && value.every((glob) => typeof glob === 'string');
  return typeof value === typeof defaultSettings[key as keyof IndexSettings];
}
