/**
 * The real models of the tests, fetched by scripts/realModels.ts into a cache folder. Where one is absent its tests are
 * skipped with a message; CI requires them.
 */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const files = {
  smollm2: 'SmolLM2-135M-Instruct.Q4_1.gguf',
  gemma3: 'gemma-3-270m-q4_k_m.gguf',
} as const;

/** `SPRING_REAL_MODELS`, else `spring-rag/real-models` in the user's cache folder. */
export function realModelsFolder(): string {
  const named = process.env['SPRING_REAL_MODELS'];
  if (named !== undefined && named !== '') return named;
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'spring-rag', 'real-models');
}

/** Path of a real model's GGUF file; undefined (with a message) where it is not there. */
export function realModel(name: keyof typeof files): string | undefined {
  const path = join(realModelsFolder(), files[name]);
  if (existsSync(path)) return path;
  if (process.env['CI']) throw new Error(`CI requires ${path}: npm run real-models fetches it.`);
  console.warn(`SKIPPED: no ${path} (npm run real-models fetches it)`);
  return undefined;
}
