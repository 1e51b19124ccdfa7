import assert from 'node:assert/strict';
import { get, metadataFetch, openConnection } from '../../../src/hub/connection.ts';
import { HubError } from '../../../src/hub/hubError.ts';

/** A network in which each address answers with a redirect or a text; it keeps who was told the token. */
async function network(home: string, answers: Record<string, string>) {
  const told: string[] = [];
  const asked: string[] = [];
  const connection = await openConnection({
    endpoint: home,
    token: () => Promise.resolve('hf_secret'),
    offline: false,
    retry: { attempts: 1, firstDelayMs: 1 },
    fetch: (input, init) => {
      const address = input instanceof Request ? input.url : input.toString();
      asked.push(address);
      assert.equal(init?.redirect, 'manual');
      if (JSON.stringify(init.headers).includes('hf_secret')) told.push(address);
      const answer = answers[address] ?? 'text';
      return Promise.resolve(
        answer.includes('://') || answer.startsWith('/')
          ? new Response('', { status: 302, headers: { Location: answer } })
          : new Response(answer),
      );
    },
  });
  return { connection, told, asked };
}

describe('the way to the Hub', () => {
  it('tells the token to the Hub alone, whatever it is redirected to', async () => {
    const { connection, told, asked } = await network('https://hub.example', {
      'https://hub.example/a': '/b',
      'https://hub.example/b': 'https://hub.example.evil.example/c',
      'https://hub.example.evil.example/c': 'https://hub.example:444/d',
      'https://hub.example:444/d': 'https://cdn.example/e',
    });
    await get(connection, 'o/n', 'https://hub.example/a', {}, undefined);
    assert.equal(asked.length, 5);
    assert.deepEqual(told, ['https://hub.example/a', 'https://hub.example/b']);
  });

  it('is not left for one without encryption, not even on the same host', async () => {
    for (const target of ['http://hub.example/a', 'http://cdn.example/a', 'ftp://hub.example/a']) {
      const { connection, asked } = await network('https://hub.example', { 'https://hub.example/a': target });
      await assert.rejects(get(connection, 'o/n', 'https://hub.example/a', {}, undefined), (error) => {
        assert.ok(error instanceof HubError);
        assert.match(error.message, /address without encryption: refused/);
        return true;
      });
      assert.deepEqual(asked, ['https://hub.example/a']);
    }
  });

  it('is not waited for where there is none, but for a server that fails for a while', async () => {
    const attempts = async (code: string): Promise<number> => {
      let asked = 0;
      const connection = await openConnection({
        endpoint: 'https://hub.example',
        offline: false,
        retry: { attempts: 5, firstDelayMs: 1 },
        fetch: () => {
          asked++;
          return Promise.reject(
            new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) }),
          );
        },
      });
      await assert.rejects(metadataFetch(connection, 'o/n')('https://hub.example/a'), HubError);
      return asked;
    };
    assert.equal(await attempts('ENOTFOUND'), 2);
    assert.equal(await attempts('ENETUNREACH'), 2);
    assert.equal(await attempts('ECONNRESET'), 5);
  });

  it('ends in a circle, and where too much is sent', async () => {
    const circle = await network('https://hub.example', { 'https://hub.example/a': 'https://hub.example/a' });
    await assert.rejects(
      get(circle.connection, 'o/n', 'https://hub.example/a', {}, undefined),
      /redirects o\/n more than 5 times/,
    );
    let sent = 0;
    const endless = await openConnection({
      endpoint: 'https://hub.example',
      token: () => Promise.resolve(undefined),
      offline: false,
      fetch: () =>
        Promise.resolve(
          new Response(
            new ReadableStream({
              pull: (controller) => {
                sent++;
                controller.enqueue(new Uint8Array(1024 ** 2));
              },
            }),
          ),
        ),
    });
    await assert.rejects(
      metadataFetch(endless, 'o/n')('https://hub.example/api'),
      /sends more than 67108864 bytes/,
    );
    assert.ok(sent < 80);
  });
});
