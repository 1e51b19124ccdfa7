/** Metadata of GGUF files for tests, without a file. */
import type { TokenizerMetadata } from '../../src/checkpoint/gguf/tokenizer.ts';

export type MetadataValues = Record<string, unknown>;

/** Answers as the metadata of a file with these values would; undefined values are absent. */
export function metadataOf(values: MetadataValues): TokenizerMetadata {
  const present = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
  const get = (key: string, ...fallback: unknown[]): unknown => {
    if (!(key in present) && fallback.length === 0) throw new Error(`no ${key}`);
    return key in present ? present[key] : fallback[0];
  };
  return {
    has: (key: string) => key in present,
    string: get,
    integer: get,
    boolean: get,
    strings: (key: string) => present[key],
    numbers: (key: string) => present[key],
  } as TokenizerMetadata;
}

/** `<0x00>` to `<0xFF>`. */
export const byteTokens = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
);
