/**
 * HTTP with the Hub: the access token goes to the Hub's own origin alone, answers that may get better are asked for
 * again a bounded number of times, everything else becomes a HubError.
 */
import { link, statfs, symlink } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { CancelledError, messageOf, throwIfCancelled } from '../protocol/errors.ts';
import {
  environmentCacheDir,
  environmentEndpoint,
  environmentOffline,
  environmentToken,
} from './environment.ts';
import { errorOfStatus, HubError, offlineError } from './hubError.ts';
import type { Disk, HubOptions, RetryPolicy } from './types.ts';

const maximumRedirects = 5;
/** Attempts where there is no way to the Hub at all, before anything has been downloaded: nobody waits for a network. */
const attemptsUnreachable = 2;
const unreachableCodes: readonly string[] = ['ENOTFOUND', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH'];
/** Lists of files have some kilobytes. */
const maximumMetadataBytes = 64 * 1024 ** 2;

/** The options with every default filled in, and the token asked for. */
export interface Connection {
  endpoint: string;
  cacheDir: string;
  fetch: typeof fetch;
  token: string | undefined;
  offline: boolean;
  signal: AbortSignal | undefined;
  retry: RetryPolicy;
  disk: Disk;
}

/** An attempt failed in a way that another one may not. */
export class TransientError extends Error {
  override readonly name: string = 'TransientError';
  /** What to say if no attempt works. */
  readonly final: HubError;
  /** The server's own wish, if it has one. */
  readonly retryAfterMs: number | undefined;
  constructor(message: string, final: HubError, retryAfterMs?: number) {
    super(message);
    this.final = final;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Fills in the environment's settings and asks for the token. */
export async function openConnection(options: HubOptions): Promise<Connection> {
  const endpoint = (options.endpoint ?? environmentEndpoint()).replace(/\/+$/, '');
  const offline = options.offline ?? environmentOffline();
  return {
    endpoint,
    cacheDir: options.cacheDir ?? environmentCacheDir(),
    fetch: options.fetch ?? fetch,
    token: offline ? undefined : await (options.token ?? environmentToken)(),
    offline,
    signal: options.signal,
    retry: { attempts: 5, firstDelayMs: 1000, maximumDelayMs: 120_000, stallMs: 60_000, ...options.retry },
    disk: { freeBytes, write: writeAll, symlink, link, ...options.disk },
  };
}

/**
 * One GET, redirects followed, no second attempt. The body is the caller's to read or cancel.
 *
 * @param repository for messages
 * @throws TransientError if another attempt may work; HubError if not; CancelledError
 */
export async function get(
  connection: Connection,
  repository: string,
  address: string,
  headers: Record<string, string>,
  signal: AbortSignal | undefined,
): Promise<Response> {
  if (connection.offline)
    throw offlineError(connection.endpoint, 'HF_HUB_OFFLINE is set, or offline was chosen');
  const home = new URL(connection.endpoint);
  let url = new URL(address);
  for (let hop = 0; hop <= maximumRedirects; hop++) {
    if (home.protocol === 'https:' && url.protocol !== 'https:') {
      throw new HubError(
        'server',
        `The Hub redirects ${repository} to an address without encryption: refused.`,
      );
    }
    // Not left to fetch: an injected one may not drop the token when a redirect leaves the Hub for its CDN.
    const authorization: Record<string, string> =
      connection.token !== undefined && url.origin === home.origin
        ? { Authorization: `Bearer ${connection.token}` }
        : {};
    const response = await send(connection, url, { ...headers, ...authorization }, signal);
    const location = response.headers.get('Location');
    if (response.status < 300 || response.status >= 400 || location === null) {
      if (response.ok) return response;
      await response.body?.cancel().catch(() => undefined);
      throw errorOfResponse(connection, repository, response);
    }
    await response.body?.cancel().catch(() => undefined);
    url = new URL(location, url);
  }
  throw new HubError('server', `The Hub redirects ${repository} more than ${maximumRedirects} times.`);
}

/**
 * A `fetch` for the Hub library's small JSON requests: the whole answer is read, so that a cut one is asked for
 * again too.
 *
 * @throws HubError, CancelledError (from the returned function)
 */
export function metadataFetch(connection: Connection, repository: string): typeof fetch {
  return async (input) => {
    const address = input instanceof Request ? input.url : String(input);
    for (let attempt = 1; ; attempt++) {
      try {
        const timeout = AbortSignal.timeout(connection.retry.stallMs);
        const signal =
          connection.signal === undefined ? timeout : AbortSignal.any([connection.signal, timeout]);
        const response = await get(connection, repository, address, { Accept: 'application/json' }, signal);
        const text = await bodyText(connection, response);
        const link = response.headers.get('Link');
        return new Response(text, { headers: link === null ? {} : { Link: link } });
      } catch (error) {
        const pause = pauseBeforeNext(connection, error, attempt);
        if (attempt >= attemptsUnreachable && isUnreachable(error)) throw error.final;
        await sleep(pause, connection.signal);
      }
    }
  };
}

/**
 * How many milliseconds to wait after this failed attempt.
 *
 * @param attempt 1 for the first
 * @throws what to tell the user, if no further attempt is worth it
 */
export function pauseBeforeNext(connection: Connection, error: unknown, attempt: number): number {
  throwIfCancelled(connection.signal);
  if (!(error instanceof TransientError)) throw error;
  const { attempts, firstDelayMs, maximumDelayMs } = connection.retry;
  const pause = error.retryAfterMs ?? firstDelayMs * 2 ** (attempt - 1);
  if (attempt >= attempts || pause > maximumDelayMs) throw error.final;
  return pause;
}

/** No name, no route: its message is the system's code (see networkDetail). */
function isUnreachable(error: unknown): error is TransientError {
  return error instanceof TransientError && unreachableCodes.includes(error.message);
}

/** Waits; @throws CancelledError when the signal fires meanwhile. */
export async function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  throwIfCancelled(signal);
  await delay(milliseconds, undefined, signal === undefined ? {} : { signal }).catch(() => {
    throw new CancelledError();
  });
}

/** What a failure of fetch or of a body's stream means. */
export function failureOfNetwork(connection: Connection, error: unknown): Error {
  if (connection.signal?.aborted) return new CancelledError();
  const detail = networkDetail(error);
  return new TransientError(detail, offlineError(connection.endpoint, detail));
}

async function send(
  connection: Connection,
  url: URL,
  headers: Record<string, string>,
  signal: AbortSignal | undefined,
): Promise<Response> {
  throwIfCancelled(connection.signal);
  try {
    return await connection.fetch(url, {
      // A compressed answer could not be resumed, nor its length be known.
      headers: { ...headers, 'Accept-Encoding': 'identity', 'User-Agent': 'spring-rag' },
      redirect: 'manual',
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    throw failureOfNetwork(connection, error);
  }
}

async function bodyText(connection: Connection, response: Response): Promise<string> {
  let text: string;
  try {
    text = await boundedText(response, maximumMetadataBytes);
  } catch (error) {
    if (error instanceof HubError) throw error;
    throw failureOfNetwork(connection, error);
  }
  try {
    JSON.parse(text);
  } catch {
    const message = `The Hub (${connection.endpoint}) sent an answer that is no JSON: is HF_ENDPOINT right, or does a proxy ask for a log-in?`;
    throw new TransientError('unreadable answer', new HubError('server', message));
  }
  return text;
}

async function boundedText(response: Response, most: number): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  const body = response.body as AsyncIterable<Uint8Array> | null;
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > most)
      throw new HubError('server', `The Hub sends more than ${most} bytes about a repository.`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function errorOfResponse(connection: Connection, repository: string, response: Response): Error {
  const { status } = response;
  const final = errorOfStatus(response, {
    endpoint: connection.endpoint,
    repository,
    hasToken: connection.token !== undefined,
  });
  if (status === 429) {
    const wait = retryAfterMs(response);
    const advice = wait === undefined ? 'in a while' : `in ${Math.ceil(wait / 1000)} s`;
    const limited = new HubError(
      'rate-limited',
      `The Hub gets too many requests from this address (429): try again ${advice}, or give an access token, which has a higher limit. What has been downloaded is kept.`,
    );
    return new TransientError('too many requests (429)', limited, wait);
  }
  if (status === 408 || status >= 500) {
    return new TransientError(`status ${status}`, final, retryAfterMs(response));
  }
  return final;
}

/** `Retry-After`: seconds, or a date. */
function retryAfterMs(response: Response): number | undefined {
  const value = response.headers.get('Retry-After');
  if (value === null) return undefined;
  const seconds = Number(value);
  if (Number.isFinite(seconds) && seconds >= 0) return seconds * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/** undici hides the reason of `fetch failed` in its cause. */
function networkDetail(error: unknown): string {
  if (error instanceof Error) {
    if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'no answer in time';
    const cause: unknown = error.cause;
    if (cause instanceof Error) return 'code' in cause ? String(cause.code) : cause.message;
  }
  return messageOf(error);
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

const writeAll: Disk['write'] = async (file, bytes, position) => {
  let written = 0;
  while (written < bytes.length) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
};
