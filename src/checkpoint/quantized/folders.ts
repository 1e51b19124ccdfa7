/** Where prepared weights lie, and what they are prepared for. */
import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { userCacheFolder } from '../userCache.ts';

/**
 * What weights are prepared for. `int8`, `int4`: quantised from their values; `native`: the checkpoint's own blocks;
 * `exact`: the same, 8-bit types widened to float32 (their product with float activations is slow); `f32`: all of them
 * widened. The last three are for quantised checkpoints.
 */
export const preparedPrecisions = ['int8', 'int4', 'native', 'exact', 'f32'] as const;
export type PreparedPrecision = (typeof preparedPrecisions)[number];

/** `SPRING_RAG_QUANTIZED`, else `spring-rag/quantized` in the user's cache folder. */
export function defaultQuantizedFolder(env: NodeJS.ProcessEnv = process.env): string {
  const named = env['SPRING_RAG_QUANTIZED'];
  if (named !== undefined && named !== '') return named;
  return join(userCacheFolder(env), 'quantized');
}

/** The checkpoint's own name, for people, and a hash of where it lies. */
export async function keptFolderName(path: string, precision: PreparedPrecision): Promise<string> {
  const real = await realpath(path);
  const hash = createHash('sha256').update(real).digest('hex').slice(0, 12);
  return `${basename(real)}-${hash}-${precision}`;
}
