import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readChatAnswer, withoutThoughts } from '../../../src/prag/chatAnswer.ts';
import { EndpointGenerator, type Endpoint } from '../../../src/prag/endpoint.ts';
import { CancelledError, UserError } from '../../../src/protocol/errors.ts';

const completion = (content: unknown): string => JSON.stringify({ choices: [{ message: { content } }] });
const hello = completion('hello');

/** What the server does with a request. */
type Reply = (response: ServerResponse) => void;
const json =
  (status: number, text: string, headers: Record<string, string> = {}): Reply =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);

describe('an OpenAI-compatible endpoint', () => {
  let server: Server;
  let url: string;
  let seen: { path: string; headers: IncomingHttpHeaders; body: Record<string, unknown>; at: number }[];
  /** One after the other; the last one for all that follow. */
  let replies: Reply[];
  beforeEach(async () => {
    seen = [];
    replies = [json(200, hello)];
    server = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk.toString()));
      request.on('end', () => {
        const body = JSON.parse(text) as Record<string, unknown>;
        seen.push({ path: request.url!, headers: request.headers, body, at: performance.now() });
        (replies.length > 1 ? replies.shift()! : replies[0]!)(response);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });
  const open = (options: Partial<Endpoint> = {}): EndpointGenerator =>
    new EndpointGenerator({ url, model: 'big', apiKey: 'secret', firstDelayMs: 1, ...options });
  /** The message of the UserError with which a request ends. */
  const refusal = async (generator: EndpointGenerator): Promise<string> => {
    try {
      await generator.generate('hi', 0);
    } catch (error) {
      assert.ok(error instanceof UserError, String(error));
      assert.doesNotMatch(error.message, /secret/);
      return error.message;
    }
    return assert.fail('It answered.');
  };

  it('is asked as the authors sample, with the key as bearer token', async () => {
    assert.equal(await open().generate('hi', 7), 'hello');
    const [{ path, headers, body }] = seen as [(typeof seen)[0]];
    assert.equal(path, '/v1/chat/completions');
    assert.equal(headers.authorization, 'Bearer secret');
    assert.deepEqual(body, {
      model: 'big',
      messages: [{ role: 'user', content: 'hi' }],
      max_tokens: 512,
      temperature: 0.7,
      top_k: 50,
      seed: 7,
      stream: false,
    });
  });

  it('is found by its whole address, too; without a key there is no authorization', async () => {
    await open({ url: `${url}chat/completions`, apiKey: undefined }).generate('hi', 0);
    assert.equal(seen[0]!.path, '/v1/chat/completions');
    assert.equal(seen[0]!.headers.authorization, undefined);
  });

  it('is asked again when it is busy or fails, but not for ever', async () => {
    replies = [json(429, 'slow down'), json(500, 'oops'), json(503, ''), json(200, hello)];
    assert.equal(await open().generate('hi', 0), 'hello');
    assert.equal(seen.length, 4);
    replies = [json(500, '{"error": "out of memory, secret"}')];
    assert.match(await refusal(open()), /status 500: .*out of memory/);
    assert.equal(seen.length, 8);
  });

  it('is given the time that it asks for', async () => {
    replies = [json(429, '', { 'retry-after': '0.3' }), json(200, hello)];
    await open().generate('hi', 0);
    assert.ok(seen[1]!.at - seen[0]!.at >= 290);
    replies = [json(429, '', { 'retry-after': new Date(Date.now() - 1000).toUTCString() }), json(200, hello)];
    await open({ firstDelayMs: 100_000 }).generate('hi', 0);
    replies = [json(429, 'come back tomorrow', { 'retry-after': '86400' })];
    assert.match(await refusal(open()), /status 429: come back tomorrow/);
    assert.equal(seen.length, 5);
  });

  it('is not asked again when it refuses', async () => {
    for (const status of [400, 401, 404]) {
      replies = [json(status, '{"error": "wrong key secret"}')];
      assert.match(await refusal(open()), new RegExp(`status ${status}: .*wrong key …`));
    }
    assert.equal(seen.length, 3);
  });

  it('is asked without top-k if it does not know it', async () => {
    replies = [json(400, 'Unrecognized request argument: top_k'), json(200, hello)];
    const generator = open();
    await generator.generate('hi', 0);
    await generator.generate('hi', 1);
    assert.deepEqual(
      seen.map(({ body }) => 'top_k' in body),
      [true, false, false],
    );
    replies = [json(400, 'top_k')];
    assert.match(await refusal(generator), /status 400/);
  });

  /** Refuses what `refused` finds in a request, as a server of that kind words it. */
  const refusing =
    (status: number, refused: (body: Record<string, unknown>) => unknown): Reply =>
    (response) => {
      const answer = refused(seen.at(-1)!.body);
      (answer === undefined ? json(200, hello) : json(status, JSON.stringify(answer)))(response);
    };

  it('is asked without the fields that it refuses, or by their new names, from then on', async () => {
    const openAi = (param: string, message: string): unknown => ({
      error: { message, type: 'invalid_request_error', param, code: 'unsupported_parameter' },
    });
    const kinds: [Reply, Record<string, unknown>][] = [
      [
        refusing(400, (body) =>
          'max_tokens' in body
            ? openAi(
                'max_tokens',
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
              )
            : undefined,
        ),
        { max_completion_tokens: 512, max_tokens: undefined, temperature: 0.7, seed: 3 },
      ],
      [
        refusing(400, (body) =>
          'temperature' in body
            ? openAi('temperature', "Unsupported value: 'temperature' does not support 0.7 with this model.")
            : 'max_tokens' in body
              ? openAi(
                  'max_tokens',
                  "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
                )
              : 'top_k' in body
                ? { error: { message: 'Unrecognized request argument supplied: top_k', param: null } }
                : undefined,
        ),
        { temperature: undefined, max_completion_tokens: 512, top_k: undefined, seed: 3 },
      ],
      [
        refusing(422, (body) => {
          const extra = ['top_k', 'seed'].filter((field) => field in body);
          const detail = extra.map((field) => ({
            ...{ type: 'extra_forbidden', loc: ['body', field], msg: 'Extra inputs are not permitted' },
          }));
          return extra.length > 0 ? { detail } : undefined;
        }),
        { top_k: undefined, seed: undefined, max_tokens: 512, temperature: 0.7 },
      ],
      [
        refusing(400, (body) =>
          'stream' in body ? { message: 'property `stream` is unsupported', loc: null } : undefined,
        ),
        { stream: undefined, max_tokens: 512, seed: 3 },
      ],
    ];
    for (const [reply, expected] of kinds) {
      replies = [reply];
      const generator = open();
      assert.equal(await generator.generate('hi', 3), 'hello');
      for (const [field, value] of Object.entries(expected))
        assert.equal(seen.at(-1)!.body[field], value, field);
      const before = seen.length;
      await generator.generate('hi', 4);
      assert.equal(seen.length, before + 1, 'it is known now');
    }
  });

  it('keeps its fields where they are not what is refused', async () => {
    for (const message of [
      "This model's maximum context length is 256 tokens: reduce the messages or max_tokens.",
      'max_tokens is too large: 512.',
      'The model `seed` is overloaded.',
    ]) {
      replies = [json(400, JSON.stringify({ error: { message } }))];
      const before = seen.length;
      assert.match(await refusal(open()), /status 400/);
      assert.equal(seen.length, before + 1);
    }
  });

  it('that points to another server is left, and nothing is sent there', async () => {
    const elsewhere: unknown[] = [];
    const other = createServer((request, response) => {
      elsewhere.push(request.headers);
      json(200, hello)(response);
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    try {
      for (const status of [301, 302, 303, 307, 308]) {
        for (const location of [
          `http://127.0.0.1:${port}/v1/chat/completions`,
          `//localhost:${port}/`,
          'file:///a',
        ]) {
          replies = [json(status, '', { location })];
          assert.match(await refusal(open()), /which is another server: nothing was sent there/);
        }
      }
      assert.deepEqual(elsewhere, []);
    } finally {
      other.close();
    }
  });

  it('may point to another place of its own, where the question and the key go along', async () => {
    replies = [json(308, '', { location: '/v2/chat/completions' }), json(200, hello)];
    assert.equal(await open().generate('hi', 0), 'hello');
    assert.equal(seen[1]!.path, '/v2/chat/completions');
    assert.equal(seen[1]!.headers.authorization, 'Bearer secret');
    assert.deepEqual(seen[1]!.body, seen[0]!.body);
    replies = [json(302, '', { location: '/v2/chat/completions' })];
    assert.match(
      await refusal(open()),
      /has moved to http:.*\/v2\/chat\/completions \(302\): give that address/,
    );
    replies = [json(307, '', { location: '/v1/chat/completions' })];
    assert.match(await refusal(open()), /redirects more than 3 times/);
  });

  it('is another one at another address, whatever its model is called', () => {
    const identities = [url, url.replace('/v1/', '/v2/'), 'http://other.example/v1'].map(
      (address) => open({ url: address }).identity,
    );
    assert.equal(new Set(identities).size, 3);
    assert.equal(open({ url: `${url}chat/completions` }).identity, identities[0]);
    assert.notEqual(open({ model: 'small' }).identity, identities[0]);
  });

  it('refuses a key that is none without showing it', () => {
    assert.throws(
      () => open({ apiKey: 'secret\r\nx-evil: 1' }),
      (error) => error instanceof UserError && !/secret/.test(error.message),
    );
  });

  it('may stream although it was asked not to', async () => {
    const events = ['Hel', 'lo'].map(
      (content) => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`,
    );
    replies = [
      (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        for (const event of [': ping\n\n', ...events]) response.write(event);
        response.end('data: {"choices": [], "usage": {}}\n\ndata: [DONE]\n\n');
      },
    ];
    assert.equal(await open().generate('hi', 0), 'Hello');
  });

  it('may name its content wrongly, but must send a completion', async () => {
    replies = [(response) => response.writeHead(200, { 'content-type': 'text/plain' }).end(hello)];
    assert.equal(await open().generate('hi', 0), 'hello');
    for (const text of ['<html>a login page</html>', '{"choices": []}', '{"choices": [{"mess', '', 'null']) {
      replies = [(response) => response.writeHead(200, { 'content-type': 'text/html' }).end(text)];
      assert.match(await refusal(open()), /gave no chat completion \(text\/html\)/);
    }
  });

  it('that does not end is left, in time and in bytes', async () => {
    replies = [() => undefined];
    assert.match(await refusal(open({ timeoutMs: 60 })), /did not finish its answer within 0.06 seconds/);
    replies = [(response) => response.writeHead(200).write('{"choices": [')];
    assert.match(await refusal(open({ timeoutMs: 60 })), /did not finish/);
    replies = [
      (response) => {
        response.writeHead(200);
        const more = (): void => {
          while (!response.destroyed && response.write('x'.repeat(2 ** 16)));
          if (!response.destroyed) response.once('drain', more);
        };
        more();
      },
    ];
    assert.match(await refusal(open()), /sends more than any answer of 512 tokens/);
  });

  it('that hangs up or is not there', async () => {
    replies = [(response) => response.destroy()];
    assert.match(await refusal(open()), /does not answer: /);
    assert.match(
      await refusal(open({ url: 'http://127.0.0.1:9/v1' })),
      /http:\/\/127\.0\.0\.1:9\/v1 does not answer/,
    );
  });

  it('can be cancelled: before its answer, within it, and between two requests', async () => {
    for (const reply of [
      () => undefined,
      (response: ServerResponse) => response.writeHead(200).write('{'),
      json(429, '', { 'retry-after': '60' }),
    ]) {
      replies = [reply];
      const controller = new AbortController();
      const waiting = open().generate('hi', 0, controller.signal);
      setTimeout(() => controller.abort(), 40);
      await assert.rejects(waiting, CancelledError);
    }
  });

  it('must be an http URL without a password', () => {
    for (const wrong of ['localhost:8000', 'file:///etc', 'nonsense', 'http://me:secret@host/v1']) {
      assert.throws(
        () => new EndpointGenerator({ url: wrong, model: 'm' }),
        (error) => error instanceof UserError && !/secret/.test(error.message),
      );
    }
  });
});

describe('what a chat server says', () => {
  it('text, parts, a refusal', () => {
    assert.equal(readChatAnswer(completion('a')), 'a');
    assert.equal(
      readChatAnswer(
        completion([{ type: 'text', text: 'a' }, { type: 'image' }, null, { type: 'text', text: 'b' }]),
      ),
      'ab',
    );
    assert.equal(readChatAnswer(completion(null)), '');
    assert.equal(readChatAnswer(completion(3)), undefined);
  });

  it('without thoughts', () => {
    assert.equal(withoutThoughts('<think>\na</think>\n\nb <think>'), 'b <think>');
    assert.equal(withoutThoughts('<think> no end'), '');
    assert.equal(withoutThoughts(' plain '), 'plain');
    // The opening tag stood in the server's prompt.
    assert.equal(withoutThoughts('I keep [the name].\n</think>\n\nOttoline keeps it.'), 'Ottoline keeps it.');
    assert.equal(withoutThoughts('</think>answer'), 'answer');
    assert.equal(withoutThoughts('Well. <think>a</think> answer </think> end'), 'answer </think> end');
    assert.equal(withoutThoughts('a thought</think>'), '');
  });
});
