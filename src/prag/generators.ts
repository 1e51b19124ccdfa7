/** Who rewrites passages and asks about them: the local decoder, or any endpoint that speaks OpenAI's chat protocol. */
import { renderChat } from '../checkpoint/chatTemplate.ts';
import type { Decoder } from '../decoder/decoder.ts';
import { messageOf, throwIfCancelled, UserError } from '../protocol/errors.ts';

export interface TextGenerator {
  /** Names the model in augmented data and in caches. */
  readonly name: string;
  /** What a model says to a message. The same seed gives the same text, as far as the model can. */
  generate(message: string, seed: number, signal?: AbortSignal): Promise<string>;
}

/** As the authors sample. */
const sampling = { maxNewTokens: 512, temperature: 0.7, topK: 50 } as const;

/** The local model, in its chat template (plain text without one). */
export class LocalGenerator implements TextGenerator {
  readonly name: string;
  private readonly decoder: Decoder;

  constructor(decoder: Decoder, name: string) {
    this.decoder = decoder;
    this.name = name;
  }

  async generate(message: string, seed: number, signal?: AbortSignal): Promise<string> {
    const { tokenizer } = this.decoder;
    const chat = renderChat(tokenizer, [{ role: 'user', content: message }]);
    const tokenIds =
      chat === undefined
        ? tokenizer.encode(`${message}\n`)
        : tokenizer.encode(chat, { addSpecialTokens: false });
    const settings = { ...sampling, seed, overflow: 'truncate-left' } as const;
    for await (const event of this.decoder.compare([{ parts: [{ tokenIds }] }], settings, signal)) {
      if (event.type === 'done') return event.generation.text;
    }
    throw new Error('The decoder gave no answer.');
  }
}

export interface Endpoint {
  /** Up to and including the version: `http://localhost:8000/v1`. */
  url: string;
  model: string;
  /** Sent as a bearer token; never logged or stored. */
  apiKey?: string | undefined;
  /** Default: two minutes. */
  timeoutMs?: number;
}

/** `POST {url}/chat/completions` of vLLM, llama.cpp, Ollama, OpenAI and many others. */
export class EndpointGenerator implements TextGenerator {
  readonly name: string;
  private readonly endpoint: Endpoint;

  /** @throws UserError if the URL is none */
  constructor(endpoint: Endpoint) {
    if (!URL.canParse(endpoint.url) || !/^https?:/.test(endpoint.url)) {
      throw new UserError(
        `"${endpoint.url}" is no http(s) URL; expected something like http://localhost:8000/v1.`,
      );
    }
    this.endpoint = endpoint;
    this.name = endpoint.model;
  }

  /** @throws UserError with the endpoint's own message if it refuses */
  async generate(message: string, seed: number, signal?: AbortSignal): Promise<string> {
    const { url, model, apiKey, timeoutMs = 120_000 } = this.endpoint;
    const body = {
      model,
      messages: [{ role: 'user', content: message }],
      max_tokens: sampling.maxNewTokens,
      temperature: sampling.temperature,
      // not in OpenAI's own protocol, but in that of local servers; OpenAI would refuse the field
      ...(isOpenAI(url) ? {} : { top_k: sampling.topK }),
      seed,
    };
    const signals = [AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])];
    let status: number;
    let text: string;
    try {
      const response = await fetch(`${url.replace(/\/+$/, '')}/chat/completions`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        },
        body: JSON.stringify(body),
        signal: AbortSignal.any(signals),
      });
      status = response.status;
      text = await response.text();
    } catch (error) {
      throwIfCancelled(signal);
      throw new UserError(`The model endpoint ${url} does not answer: ${messageOf(error)}.`, {
        cause: error,
      });
    }
    if (status !== 200) {
      throw new UserError(`The model endpoint ${url} answered with status ${status}: ${text.slice(0, 300)}`);
    }
    const answer = readChatAnswer(text);
    if (answer === undefined) {
      throw new UserError(`The model endpoint ${url} gave no chat completion: ${text.slice(0, 300)}`);
    }
    return answer;
  }
}

function isOpenAI(url: string): boolean {
  return new URL(url).hostname.endsWith('openai.com');
}

function readChatAnswer(text: string): string | undefined {
  try {
    const answer = JSON.parse(text) as { choices?: { message?: { content?: unknown } }[] };
    const content = answer.choices?.[0]?.message?.content;
    return typeof content === 'string' ? content : undefined;
  } catch {
    return undefined;
  }
}
