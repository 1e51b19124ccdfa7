/** `spring models`, `download` and `remove` as a user runs them, against a Hub on this machine. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HubServer } from '../fixtures/hub/hubServer.ts';
import { addToOllama } from '../fixtures/hub/ollamaStore.ts';
import { commit, contentsOf, modelFiles } from '../fixtures/hub/testHub.ts';
import { tinyGguf } from '../support/tinyGguf.ts';

const root = join(import.meta.dirname, '..', '..');

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

describe('models on the command line', function () {
  // Each test starts several processes.
  this.timeout(180_000);
  let server: HubServer;
  let home: string;
  let demoFiles: Record<string, Buffer>;
  before(async () => {
    demoFiles = await contentsOf(join(root, 'media', 'demo'));
  });
  beforeEach(async () => {
    server = new HubServer();
    await server.start();
    home = await mkdtemp(join(tmpdir(), 'spring-home-'));
    server.repositories.set('me/tiny', { commit, files: demoFiles });
  });
  afterEach(async () => {
    await server.stop();
    await rm(home, { recursive: true });
  });

  async function spring(arguments_: string[], extra: Record<string, string> = {}): Promise<Outcome> {
    const kept = Object.entries(process.env).filter(
      ([name]) => !/^(HF_|HUGGING|https?_proxy|no_proxy|SPRING_|OLLAMA_|LLAMA_|XDG_)/i.test(name),
    );
    const places = { HF_ENDPOINT: server.endpoint, HF_HOME: home, HOME: home, USERPROFILE: home };
    const env = { ...Object.fromEntries(kept), ...places, ...extra };
    const main = [join(root, 'src', 'cli', 'main.ts'), ...arguments_];
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...main], {
      env,
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const outcome: Outcome = { code: null, stdout: '', stderr: '' };
    child.stdout.on('data', (data: Buffer) => (outcome.stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (outcome.stderr += data.toString()));
    [outcome.code] = (await once(child, 'close')) as [number | null];
    return outcome;
  }
  const json = (outcome: Outcome): Record<string, unknown> => {
    assert.equal(outcome.code, 0, outcome.stderr);
    return JSON.parse(outcome.stdout) as Record<string, unknown>;
  };

  it('from nothing: download over a cut connection, answer, list, remove', async () => {
    let cuts = 1;
    server.fault = (seen) =>
      seen.server === 'cdn' && cuts-- > 0 ? { kind: 'cut', after: 500_000 } : undefined;
    const got = await spring(['download', 'me/tiny', '--json']);
    const { path, commit: got_ } = json(got);
    assert.equal(got_, commit);
    assert.match(got.stderr, /again in 1 s/);
    assert(String(path).startsWith(home));

    const generated = json(
      await spring(['generate', '--model', 'me/tiny', '--prompt', 'x', '--max-new-tokens', '2', '--json']),
    );
    const reference = json(await spring(['generate', '--prompt', 'x', '--max-new-tokens', '2', '--json']));
    assert.deepEqual(generated['tokenIds'], reference['tokenIds']);

    const { models } = json(await spring(['models', '--downloaded', '--json'])) as {
      models: { id: string; state: string; path: string }[];
    };
    assert.deepEqual(
      models.map(({ id, state }) => [id, state]),
      [
        ['demo', 'built-in'],
        ['spring-demo', 'built-in'],
        ['me/tiny', 'downloaded'],
      ],
    );

    const asked = await spring(['remove', 'me/tiny']);
    assert.equal(asked.code, 1);
    assert.match(asked.stderr, /^Nothing was removed\. To remove me\/tiny .*frees 2\.3 MB.*--yes/);
    const removed = json(await spring(['remove', 'me/tiny', '--yes', '--json']));
    assert(Number(removed['freedBytes']) > 2e6);
    assert.equal((await spring(['generate', '--model', 'me/tiny', '--prompt', 'x'])).code, 1);
  });

  it('a table for people', async () => {
    const { stdout, code } = await spring(['models']);
    assert.equal(code, 0);
    assert.match(stdout, /NAME +KIND +SIZE +LICENCE +STATE +F32 +INT8 +INT4 +RUNS HERE/);
    assert.match(stdout, /llama-3\.2-1b-instruct +chat +2\.5 GB +Llama 3\.2 \(gated\) +absent/);
    assert.match(stdout, /spring-mistral-7b +4096 +mistral-7b-v0\.1 +MIT +absent/);
    assert.equal(server.requests.length, 0);
  });

  it("another program's models: listed, resolved, and refused with the reason", async () => {
    const store = join(home, '.ollama/models');
    const blob = addToOllama(store, 'registry.ollama.ai/library/tiny/1b', [['model', tinyGguf()]]);
    addToOllama(store, 'registry.ollama.ai/library/far/cloud', [], { remote_host: 'https://ollama.com' });
    const text = (await spring(['models', '--downloaded'])).stdout;
    assert.match(text, /^On this machine .*\nNAME +FROM +SIZE +WEIGHTS +MEMORY +RUNS HERE\n/);
    assert.match(text, /ollama:tiny:1b +Ollama +\d.* kB +Q4_0 +1\d\d MB +yes\n/);
    assert.match(text, /ollama:far:cloud +Ollama +\? +\? +\? +no: It runs in Ollama's cloud/);
    const { local } = json(await spring(['models', '--json'])) as { local: { name: string; path: string }[] };
    assert.deepEqual(
      local.map(({ name, path }) => [name, path]),
      [
        ['ollama:tiny:1b', blob],
        ['ollama:far:cloud', null],
      ],
    );
    const refused = await spring(['generate', '--model', 'far:cloud', '--prompt', 'x']);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^ollama:far:cloud cannot be used\. It runs in Ollama's cloud/);
  });

  it('a repository of GGUF files: what there is, then the one that is named', async () => {
    const files = { 'b-Q4_0.gguf': tinyGguf(), 'b-Q8_0.gguf': tinyGguf({ seed: 1 }) };
    server.repositories.set('a/b-GGUF', { commit, files });
    const asked = await spring(['download', 'a/b-GGUF']);
    assert.equal(asked.code, 1);
    assert.match(
      asked.stderr,
      /has several GGUF files\. Name one of:\n {2}a\/b-GGUF:Q4_0, .*\n {2}a\/b-GGUF:Q8_0, /,
    );
    const { path } = json(await spring(['download', 'a/b-GGUF:Q8_0', '--json']));
    assert.equal(path, join(home, 'hub/models--a--b-GGUF/snapshots', commit, 'b-Q8_0.gguf'));
    assert.match((await spring(['models'])).stdout, /a\/b-GGUF:Q8_0 +Hugging Face Hub/);
    assert.equal((await spring(['remove', 'a/b-GGUF:Q8_0', '--yes'])).code, 0);
    assert(!(await spring(['models'])).stdout.includes('a/b-GGUF'));
  });

  it('a token from the environment or the log-in file opens a gated model; it is printed nowhere', async () => {
    server.repositories.set('me/tiny', { commit, files: modelFiles(5000), gated: true });
    const refused = await spring(['download', 'me/tiny']);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /me\/tiny is gated: open .*accept the licence.*HF_TOKEN/);
    assert(!/\n\s+at /.test(refused.stderr), 'no stack trace');
    await writeFile(join(home, 'token'), 'hf_good\n');
    const { stdout, stderr } = await spring(['download', 'me/tiny']);
    assert.match(stdout, /downloaded, verified/);
    assert(!(stdout + stderr).includes('hf_good'));
    for (const [name, bytes] of Object.entries(await contentsOf(home))) {
      assert(name === 'token' || !bytes.includes('hf_good'), name);
    }
  });

  it("a user's list of models; offline once downloaded", async () => {
    const list = join(home, 'models.json');
    await writeFile(list, JSON.stringify([{ id: 'tiny', repository: 'me/tiny', title: 'Mine' }]));
    const environment = { SPRING_MODELS: list };
    const first = await spring(['download', 'tiny'], environment);
    assert.match(first.stdout, /Use it with: --model tiny/);
    const offline = { ...environment, HF_HUB_OFFLINE: '1' };
    const again = await spring(['download', 'tiny'], offline);
    assert.equal(again.code, 0);
    assert.match(again.stdout, /cannot be reached; this is what the cache has/);
    const other = await spring(['download', 'qwen3-0.6b'], offline);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /cannot be reached/);
    assert.match((await spring(['models', '--downloaded'], offline)).stdout, /tiny +chat .*downloaded/);
  });

  it("a user's models are among those that fit an embedding file", async () => {
    const list = join(home, 'models.json');
    const shape = {
      ...{
        hiddenSize: 128,
        intermediateSize: 352,
        numLayers: 5,
        numHeads: 4,
        numKeyValueHeads: 2,
        headDim: 32,
      },
      ...{ vocabSize: 1536, maxPositionEmbeddings: 512, tieWordEmbeddings: true },
    };
    const rows = join(root, 'media', 'demo', 'spring-50.pt');
    const sha256 = json(await spring(['inspect', rows, '--json']))['sha256'];
    const tokens = {
      id: 'my-tokens',
      kind: 'token-file',
      file: 'x.pt',
      backbone: 'mine',
      hiddenSize: 128,
      sha256,
    };
    await writeFile(
      list,
      JSON.stringify([
        { id: 'mine', repository: 'me/tiny', shape },
        { ...tokens, repository: 'me/tokens' },
      ]),
    );
    const inspected = json(await spring(['inspect', rows, '--json'], { SPRING_MODELS: list }));
    assert.ok((inspected['fits'] as { id: string }[]).some(({ id }) => id === 'mine'));
    await writeFile(list, '{}');
    const wrong = await spring(['inspect', rows], { SPRING_MODELS: list });
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /must hold a JSON list/);
  });

  it('an embedding file of the list', async () => {
    const name = 'mistral.7b.base.added_token_embeddings.pt';
    server.repositories.set('yutaozhu94/SPRING', {
      commit,
      files: { [name]: Buffer.alloc(4000, 3), 'x.pt': Buffer.alloc(9) },
    });
    const { stdout, stderr } = await spring(['download', 'spring-mistral-7b']);
    assert.match(stdout, /Use it with: --model mistral-7b-v0\.1 --tokens spring-mistral-7b/, stderr);
    const snapshot = join(home, 'hub', 'models--yutaozhu94--SPRING', 'snapshots', commit);
    assert.deepEqual(await readdir(snapshot), [name]);
  });

  it('goes through the proxy of the environment', async () => {
    const tunnels: string[] = [];
    const sockets = new Set<Socket>();
    const proxy = createServer().on('connect', (request, socket: Socket) => {
      tunnels.push(request.url ?? '');
      const [host, port] = (request.url ?? '').split(':');
      const target = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        target.pipe(socket).pipe(target);
      });
      for (const end of [socket, target]) sockets.add(end.on('error', () => end.destroy()));
    });
    proxy.on('request', (request, response) => {
      tunnels.push(request.url ?? '');
      response.writeHead(501).end();
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const { code, stderr } = await spring(['download', 'me/tiny'], {
      HTTP_PROXY: address,
      http_proxy: address,
    });
    for (const socket of sockets) socket.destroy();
    proxy.close();
    assert.equal(code, 0, stderr);
    assert(tunnels.length > 0 && tunnels.every((url) => url.startsWith('127.0.0.1:')), tunnels.join());
  });
});
