import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { getHFHubCachePath, HUB_URL } from '@huggingface/hub';

/** `HF_ENDPOINT` or the public Hub, without a slash at the end. */
export function environmentEndpoint(): string {
  const endpoint = process.env['HF_ENDPOINT']?.trim() ?? '';
  return (endpoint === '' ? HUB_URL : endpoint).replace(/\/+$/, '');
}

/** The Hub cache that Python's huggingface_hub uses too: `HF_HUB_CACHE`, else `HF_HOME/hub`, else ~/.cache. */
export function environmentCacheDir(): string {
  return expandHome(getHFHubCachePath());
}

/** Whether `HF_HUB_OFFLINE` forbids the network. */
export function environmentOffline(): boolean {
  return /^(1|true|yes|on)$/i.test(process.env['HF_HUB_OFFLINE']?.trim() ?? '');
}

/** The access token of `HF_TOKEN`, else of the file that `hf auth login` writes; undefined if there is none. */
export async function environmentToken(): Promise<string | undefined> {
  const named = process.env['HF_TOKEN'] ?? process.env['HUGGING_FACE_HUB_TOKEN'];
  if (named !== undefined && named.trim() !== '') return named.trim();
  const home = process.env['HF_HOME'] ?? dirname(environmentCacheDir());
  const file = expandHome(process.env['HF_TOKEN_PATH'] ?? join(home, 'token'));
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.trim() === '' ? undefined : text.trim();
}

/** `~/x` as a path in the home folder. */
export function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;
}
