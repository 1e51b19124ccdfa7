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

interface Reply {
  status: number;
  text: string;
  contentType: string;
  retryAfter: string | null;
}

/** `POST {url}/chat/completions`. */
export class EndpointGenerator implements TextGenerator {
  readonly name: string;
  private readonly endpoint: Endpoint;
  /** As the user wrote it, without what may be secret. */
  private readonly shown: string;
  private readonly address: string;
  /** Servers that do not know top-k refuse the field; then it is left out. */
  private sendsTopK: boolean;

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
    this.endpoint = endpoint;
    this.name = endpoint.model;
    this.shown = url.origin + url.pathname;
    url.pathname = `${url.pathname.replace(/\/+$/, '').replace(/\/chat\/completions$/, '')}/chat/completions`;
    this.address = url.href;
    // not in OpenAI's own protocol, but in that of local servers
    this.sendsTopK = !url.hostname.endsWith('openai.com');
  }

  /**
   * A busy or failing server is asked again, after the pause that it asks for.
   * @throws UserError with the endpoint's own message if it refuses; CancelledError
   */
  async generate(message: string, seed: number, signal?: AbortSignal): Promise<string> {
    for (let request = 1; ; request++) {
      const reply = await this.send(message, seed, signal);
      if (reply.status === 200) return this.answerOf(reply);
      if (this.sendsTopK && [400, 422].includes(reply.status) && reply.text.includes('top_k')) {
        this.sendsTopK = false;
        continue;
      }
      const pause = this.pauseAfter(reply, request);
      if (pause === undefined) throw this.failure(`answered with status ${reply.status}`, reply.text);
      await sleep(pause, signal);
    }
  }

  private async send(message: string, seed: number, signal: AbortSignal | undefined): Promise<Reply> {
    const { model, apiKey, timeoutMs = 120_000 } = this.endpoint;
    const body = {
      model,
      messages: [{ role: 'user', content: message }],
      max_tokens: sampling.maxNewTokens,
      temperature: sampling.temperature,
      ...(this.sendsTopK && { top_k: sampling.topK }),
      seed,
      stream: false,
    };
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const response = await fetch(this.address, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json',
          ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        },
        body: JSON.stringify(body),
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

/** Retry-After: seconds, or a date. */
function readRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const milliseconds = /^\d+(\.\d+)?$/.test(value.trim())
    ? 1000 * Number(value)
    : Date.parse(value) - Date.now();
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : undefined;
}
