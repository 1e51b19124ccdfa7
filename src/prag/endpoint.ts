/** A model behind OpenAI's chat protocol: vLLM, llama.cpp, Ollama, OpenAI and many others. */
import { sleep } from '../hub/connection.ts';
import { messageOf, throwIfCancelled, UserError } from '../protocol/errors.ts';
import { readChatAnswer } from './chatAnswer.ts';
import { sampling, type TextGenerator } from './generators.ts';

export interface Endpoint {
  /** Up to and including the version: `http://localhost:8000/v1`. */
  url: string;
  model: string;
  /** Sent as a bearer token; never logged or stored. */
  apiKey?: string | undefined;
  /** Of one request, its answer included. Default: two minutes. */
  timeoutMs?: number;
  /** Before a busy server is asked again, unless it says when; doubles from time to time. Default: a second. */
  firstDelayMs?: number;
}

/** Statuses of a server that may answer when asked again. */
const transientStatuses = new Set([408, 409, 425, 429, 500, 502, 503, 504]);
/** Times that a request is sent at most. */
const maximumRequests = 4;
/** A server that wants a longer pause is given up: the user should know. */
const maximumPauseMs = 120_000;
/** 512 tokens are a few kilobytes; a server that sends without end must not fill the memory. */
const maximumAnswerBytes = 4 * 1024 ** 2;

/** Fields of a request that a server may not know, or knows by another name; they are left out one by one. */
const optionalFields = {
  top_k: undefined,
  seed: undefined,
  temperature: undefined,
  max_tokens: 'max_completion_tokens',
  max_completion_tokens: undefined,
  stream: undefined,
} as const;
type OptionalField = keyof typeof optionalFields;

/** What servers say of a field that they do not take, not of a value that is too large. */
const refusal =
  /unsupported|not support|unknown|unrecogni|unexpected|extra|not permitted|not allowed|forbid|invalid.?param|invalid.?arg|deprecated|only the default|not exist/i;

/** Redirects within the server that are followed. */
const maximumRedirects = 3;

interface Reply {
  status: number;
  text: string;
  contentType: string;
  retryAfter: string | null;
}

/** `POST {url}/chat/completions`. */
export class EndpointGenerator implements TextGenerator {
  readonly name: string;
  readonly identity: string;
  private readonly endpoint: Endpoint;
  /** As the user wrote it, without what may be secret. */
  private readonly shown: string;
  private readonly address: string;
  /** What else is sent with a message. Servers that do not know a field refuse it; then it goes. */
  private readonly fields = new Map<OptionalField, number | boolean>([
    ['max_tokens', sampling.maxNewTokens],
    ['temperature', sampling.temperature],
    ['top_k', sampling.topK],
    ['seed', 0],
    ['stream', false],
  ]);

  /** @throws UserError if the URL is none */
  constructor(endpoint: Endpoint) {
    if (!URL.canParse(endpoint.url) || !/^https?:/.test(endpoint.url)) {
      throw new UserError(
        `"${endpoint.url}" is no http(s) URL; expected something like http://localhost:8000/v1.`,
      );
    }
    const url = new URL(endpoint.url);
    if (url.username !== '' || url.password !== '') {
      throw new UserError(
        "The endpoint's URL holds a name or password: give a key in SPRING_API_KEY instead.",
      );
    }
    if (endpoint.apiKey !== undefined && !/^[\x21-\x7e]*$/.test(endpoint.apiKey)) {
      throw new UserError(
        'The key of the endpoint holds a space, a line break or a character that no key has.',
      );
    }
    this.endpoint = endpoint;
    this.name = endpoint.model;
    this.shown = url.origin + url.pathname;
    url.pathname = `${url.pathname.replace(/\/+$/, '').replace(/\/chat\/completions$/, '')}/chat/completions`;
    this.address = url.href;
    // Servers take any name ("default"), so the name alone does not say which model it is.
    this.identity = JSON.stringify([this.name, url.href]);
    // not in OpenAI's own protocol, but in that of local servers
    if (url.hostname.endsWith('openai.com')) this.fields.delete('top_k');
  }

  /**
   * A busy or failing server is asked again, after the pause that it asks for.
   * @throws UserError with the endpoint's own message if it refuses; CancelledError
   */
  async generate(message: string, seed: number, signal?: AbortSignal): Promise<string> {
    for (let request = 1; ; request++) {
      const reply = await this.send(message, seed, signal);
      if (reply.status === 200) return this.answerOf(reply);
      if ([400, 422].includes(reply.status) && this.leaveOut(reply.text)) {
        request--;
        continue;
      }
      const pause = this.pauseAfter(reply, request);
      if (pause === undefined) throw this.failure(`answered with status ${reply.status}`, reply.text);
      await sleep(pause, signal);
    }
  }

  private async send(message: string, seed: number, signal: AbortSignal | undefined): Promise<Reply> {
    const { model, apiKey, timeoutMs = 120_000 } = this.endpoint;
    if (this.fields.has('seed')) this.fields.set('seed', seed);
    const messages = [{ role: 'user', content: message }];
    const body = JSON.stringify({ model, messages, ...Object.fromEntries(this.fields) });
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const response = await this.post({
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json',
          ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        },
        body,
        redirect: 'manual',
        signal: signal ? AbortSignal.any([timeout, signal]) : timeout,
      });
      return {
        status: response.status,
        text: await this.readText(response),
        contentType: response.headers.get('content-type') ?? 'no content type',
        retryAfter: response.headers.get('retry-after'),
      };
    } catch (error) {
      throwIfCancelled(signal);
      if (error instanceof UserError) throw error;
      if (timeout.aborted) throw this.failure(`did not finish its answer within ${timeoutMs / 1000} seconds`);
      // fetch's own message is "fetch failed"; its cause says why
      const reason = error instanceof Error && error.cause !== undefined ? error.cause : error;
      throw this.failure('does not answer', messageOf(reason));
    }
  }

  /** Passages and key go to the server that the user named, and to no other that it points to. */
  private async post(request: RequestInit): Promise<Response> {
    let address = this.address;
    for (let hop = 0; hop <= maximumRedirects; hop++) {
      const response = await fetch(address, request);
      const location = response.headers.get('location');
      if (response.status < 300 || response.status >= 400 || location === null) return response;
      await response.body?.cancel().catch(() => undefined);
      const target = URL.parse(location, address);
      if (target?.origin !== new URL(address).origin) {
        throw this.failure(
          `sends its requests on to ${target?.origin ?? location}, which is another server: nothing was sent there. ` +
            'Give that address if you trust it',
        );
      }
      // The others would turn the question into a GET without it.
      if (response.status !== 307 && response.status !== 308) {
        throw this.failure(
          `has moved to ${target.origin}${target.pathname} (${response.status}): give that address`,
        );
      }
      address = target.href;
    }
    throw this.failure(`redirects more than ${maximumRedirects} times`);
  }

  /** Leaves out (or renames) the fields that a refusal names; false if it names none of those that were sent. */
  private leaveOut(text: string): boolean {
    const named = namedFields(text).filter((field) => this.fields.has(field));
    for (const field of named) {
      const value = this.fields.get(field)!;
      this.fields.delete(field);
      const otherName = optionalFields[field];
      if (otherName !== undefined) this.fields.set(otherName, value);
    }
    return named.length > 0;
  }

  private async readText(response: Response): Promise<string> {
    const decoder = new TextDecoder();
    let text = '';
    let bytes = 0;
    const body = response.body as AsyncIterable<Uint8Array> | null;
    for await (const chunk of body ?? []) {
      bytes += chunk.length;
      if (bytes > maximumAnswerBytes)
        throw this.failure('sends more than any answer of 512 tokens can be', text);
      text += decoder.decode(chunk, { stream: true });
    }
    return text;
  }

  private answerOf({ text, contentType }: Reply): string {
    const answer = readChatAnswer(text);
    if (answer === undefined) throw this.failure(`gave no chat completion (${contentType})`, text);
    return answer;
  }

  /** Milliseconds until the request may be sent again; undefined if there is no use in it. */
  private pauseAfter({ status, retryAfter }: Reply, request: number): number | undefined {
    if (!transientStatuses.has(status) || request >= maximumRequests) return undefined;
    const { firstDelayMs = 1000 } = this.endpoint;
    const pause = readRetryAfter(retryAfter) ?? firstDelayMs * 2 ** (request - 1);
    return pause <= maximumPauseMs ? pause : undefined;
  }

  private failure(what: string, detail = ''): UserError {
    const { apiKey } = this.endpoint;
    // some servers repeat a wrong key
    const told = apiKey ? detail.replaceAll(apiKey, '…') : detail;
    return new UserError(
      `The model endpoint ${this.shown} ${what}${told === '' ? '.' : `: ${told.slice(0, 300)}`}`,
    );
  }
}

/** The fields that a refusal is about: those it says so of (`param`, `loc`), else those that its message names. */
function namedFields(answer: string): OptionalField[] {
  const text = answer.slice(0, 4000);
  if (!refusal.test(text)) return [];
  const all = Object.keys(optionalFields) as OptionalField[];
  const stated = all.filter((field) =>
    new RegExp(`"(param|field|loc|parameter)"\\s*:\\s*(\\[[^\\]]*)?"${field}"`).test(text),
  );
  // "Use 'max_completion_tokens' instead" is an advice, not a complaint.
  const complaint = text.replace(/\buse\s+['"`]?\w+/gi, '');
  return stated.length > 0 ? stated : all.filter((field) => new RegExp(`\\b${field}\\b`).test(complaint));
}

/** Retry-After: seconds, or a date. */
function readRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const milliseconds = /^\d+(\.\d+)?$/.test(value.trim())
    ? 1000 * Number(value)
    : Date.parse(value) - Date.now();
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : undefined;
}
