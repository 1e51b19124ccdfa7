import assert from 'node:assert/strict';
import { lstat, mkdir, readdir, readFile, readlink, rename, symlink, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { download } from '../../../src/hub/download.ts';
import { HubError } from '../../../src/hub/hubError.ts';
import type { HubProblem } from '../../../src/hub/hubError.ts';
import { resolveModel } from '../../../src/hub/resolve.ts';
import { CancelledError } from '../../../src/protocol/errors.ts';
import { digest, gitHash } from '../../fixtures/hub/hubServer.ts';
import type { Fault } from '../../fixtures/hub/hubServer.ts';
import { commit, contentsOf, downloadAll, modelFiles, openTestHub } from '../../fixtures/hub/testHub.ts';
import type { TestHub } from '../../fixtures/hub/testHub.ts';

const request = { repository: 'a/b', kind: 'chat' } as const;
const neededNames = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];

describe('downloads from the Hub', () => {
  let hub: TestHub;
  let files: Record<string, Buffer>;
  beforeEach(async () => {
    hub = await openTestHub();
    files = modelFiles();
    hub.server.repositories.set('a/b', { commit, files });
  });
  afterEach(() => hub.close());

  const root = (): string => join(hub.cacheDir, 'models--a--b');
  const blob = (name: string): string => join(root(), 'blobs', digest('sha256', files[name]!));
  /** Faults for the large file's bytes, one per request, then none. */
  const faults = (...list: Fault[]): void => {
    hub.server.fault = ({ server }) => (server === 'cdn' ? list.shift() : undefined);
  };
  const refused = (problem: HubProblem, message: RegExp, options = hub.options): Promise<void> =>
    assert.rejects(downloadAll(request, options), (error) => {
      assert(error instanceof HubError, String(error));
      assert.equal(error.problem, problem, error.message);
      assert.match(error.message, message);
      return true;
    });
  const assertComplete = async (): Promise<void> => {
    const contents = await contentsOf(join(root(), 'snapshots', commit));
    assert.deepEqual(Object.keys(contents).sort(), neededNames);
    for (const [name, bytes] of Object.entries(contents)) assert(bytes.equals(files[name]!), name);
  };

  it('fetches the needed files alone, in the layout of the Hub cache', async () => {
    const { events, result } = await downloadAll(request, hub.options);
    await assertComplete();
    assert.equal(result.folder, await resolveModel('a/b', { cacheDir: hub.cacheDir }));
    assert.equal(await readFile(join(root(), 'refs', 'main'), 'utf8'), commit);
    const config = gitHash(files['config.json']!);
    assert.equal(await readlink(join(result.folder, 'config.json')), join('..', '..', 'blobs', config));
    assert.equal((await lstat(blob('model.safetensors'))).size, 50_000);
    assert.deepEqual(
      (await readdir(join(root(), 'blobs'))).filter((name) => name.includes('.')),
      [],
    );
    const total = neededNames.reduce((sum, name) => sum + files[name]!.length, 0);
    assert.equal(result.totalBytes, total);
    assert.equal(result.downloadedBytes, total);
    assert.deepEqual(events.map(({ type }) => type).slice(0, 1), ['plan']);
    const progress = events.filter((event) => event.type === 'progress');
    assert.equal(progress.at(-1)?.doneBytes, total);
  });

  it('records the commit and the verified hashes', async () => {
    await downloadAll(request, hub.options);
    const record = JSON.parse(await readFile(join(root(), 'spring-download.json'), 'utf8')) as {
      downloads: { commit: string; revision: string; files: { path: string; hash: { hex: string } }[] }[];
    };
    assert.equal(record.downloads[0]?.commit, commit);
    assert.equal(record.downloads[0].revision, 'main');
    const weights = record.downloads[0].files.find(({ path }) => path === 'model.safetensors');
    assert.equal(weights?.hash.hex, digest('sha256', files['model.safetensors']!));
  });

  it('fetches nothing twice, and only what a new commit changed', async () => {
    await downloadAll(request, hub.options);
    hub.server.requests.length = 0;
    assert.equal((await downloadAll(request, hub.options)).result.downloadedBytes, 0);
    assert.deepEqual(hub.server.contentRequests, []);

    const next = 'd'.repeat(40);
    files = { ...files, 'config.json': Buffer.from('{"new": true}') };
    hub.server.repositories.set('a/b', { commit: next, files });
    const { result } = await downloadAll(request, hub.options);
    assert.equal(result.downloadedBytes, files['config.json']!.length);
    assert.equal(await resolveModel('a/b', { cacheDir: hub.cacheDir }), join(root(), 'snapshots', next));
  });

  it('a model in shards: those that the index names', async () => {
    const index = {
      weight_map: { x: 'model-00001-of-00002.safetensors', y: 'model-00002-of-00002.safetensors' },
    };
    const { 'model.safetensors': weights, ...others } = modelFiles();
    files = {
      ...others,
      'model.safetensors.index.json': Buffer.from(JSON.stringify(index)),
      'model-00001-of-00002.safetensors': weights!.subarray(0, 20_000),
      'model-00002-of-00002.safetensors': weights!.subarray(20_000),
      'consolidated.safetensors': weights!,
    };
    hub.server.repositories.set('a/b', { commit, files });
    const { result } = await downloadAll(request, hub.options);
    assert.deepEqual(
      Object.keys(await contentsOf(result.folder))
        .filter((name) => name.includes('safetensors'))
        .sort(),
      [
        'model-00001-of-00002.safetensors',
        'model-00002-of-00002.safetensors',
        'model.safetensors.index.json',
      ],
    );
    delete files['model-00002-of-00002.safetensors'];
    hub.server.repositories.set('a/b', { commit: 'd'.repeat(40), files });
    await refused('unsupported', /has no model-00002-of-00002/);
  });

  it('a single token file, and an embedding model in its folders', async () => {
    const tokenFile = { repository: 'a/b', kind: 'token-file', file: 'x.pt' } as const;
    files = {
      'x.pt': Buffer.alloc(2000, 1),
      'y.pt': Buffer.alloc(2000, 2),
      'config.json': Buffer.from('{}'),
      'tokenizer.json': Buffer.from('{}'),
      'modules.json': Buffer.from('[]'),
      '1_Pooling/config.json': Buffer.from('{"p": 1}'),
      'onnx/model.onnx': Buffer.alloc(3000, 3),
      'onnx/model_quantized.onnx': Buffer.alloc(3000, 4),
      'model.safetensors': Buffer.alloc(3000, 5),
    };
    hub.server.repositories.set('a/b', { commit, files });
    const { result } = await downloadAll(tokenFile, hub.options);
    assert.deepEqual(Object.keys(await contentsOf(result.folder)), ['x.pt']);
    await downloadAll({ repository: 'a/b', kind: 'embedding', file: 'onnx/model.onnx' }, hub.options);
    assert.deepEqual(Object.keys(await contentsOf(result.folder)).sort(), [
      '1_Pooling/config.json',
      'config.json',
      'modules.json',
      'onnx/model.onnx',
      'tokenizer.json',
      'x.pt',
    ]);
  });

  it('goes on where a cut connection ended', async () => {
    faults({ kind: 'cut', after: 20_000 }, { kind: 'cut', after: 1000 });
    const { result, events } = await downloadAll(request, hub.options);
    await assertComplete();
    assert(events.some((event) => event.type === 'waiting'));
    const ranges = hub.server.requests.filter(({ server }) => server === 'cdn').map(({ range }) => range);
    assert.equal(ranges.length, 3);
    assert.equal(ranges[0], undefined);
    assert.match(ranges[1] ?? '', /^bytes=[1-9]\d*-$/);
    assert.equal(result.downloadedBytes, result.totalBytes);
  });

  it('goes on in a later run; nothing shows before it is complete', async () => {
    hub.server.fault = ({ server }) => (server === 'cdn' ? { kind: 'cut', after: 0 } : undefined);
    let first = true;
    hub.server.fault = ({ server }) => {
      if (server !== 'cdn') return undefined;
      const after = first ? 30_000 : 0;
      first = false;
      return { kind: 'cut', after };
    };
    await assert.rejects(downloadAll(request, hub.options), HubError);
    const kept = (await lstat(`${blob('model.safetensors')}.incomplete`)).size;
    assert(kept > 0 && kept <= 30_000, String(kept));
    assert.deepEqual(await contentsOf(join(root(), 'snapshots', commit)), {});
    await assert.rejects(resolveModel('a/b', { cacheDir: hub.cacheDir }), /spring download a\/b/);

    hub.server.fault = () => undefined;
    hub.server.requests.length = 0;
    const { result } = await downloadAll(request, hub.options);
    await assertComplete();
    assert.equal(result.downloadedBytes, 50_000 - kept);
    assert.equal(hub.server.contentRequests.at(-1)?.range, `bytes=${kept}-`);
  });

  it('a server that ignores or mistakes the range does no harm', async () => {
    faults({ kind: 'cut', after: 20_000 }, { kind: 'ignore-range' });
    await downloadAll(request, hub.options);
    await assertComplete();
    await rename(root(), `${root()}-old`);
    faults({ kind: 'cut', after: 20_000 }, { kind: 'wrong-range' });
    await downloadAll(request, hub.options);
    await assertComplete();
  });

  it('a stalled connection is cut and tried again', async () => {
    faults({ kind: 'stall', after: 10_000 });
    const retry = { ...hub.options.retry, attempts: 20, stallMs: 200 };
    await downloadAll(request, { ...hub.options, retry });
    await assertComplete();
  });

  it('wrong bytes are deleted, with an error', async () => {
    faults({ kind: 'corrupt', at: 40_000 });
    await refused('wrong-content', /model\.safetensors of a\/b .*deleted/);
    assert.deepEqual(
      (await readdir(join(root(), 'blobs'))).filter((name) => name.includes('incomplete')),
      [],
    );
    await assert.rejects(resolveModel('a/b', { cacheDir: hub.cacheDir }));
    await downloadAll(request, hub.options);
    await assertComplete();
  });

  it('wrong bytes of an earlier attempt: once more from the start', async () => {
    await mkdir(join(root(), 'blobs'), { recursive: true });
    await writeFile(`${blob('model.safetensors')}.incomplete`, Buffer.alloc(10_000, 9));
    await downloadAll(request, hub.options);
    await assertComplete();
    assert.equal(hub.server.requests.filter(({ server }) => server === 'cdn').length, 2);
  });

  it('a hash in the list that no bytes have, and a body of another length', async () => {
    faults({ kind: 'longer', by: 10 });
    await refused('wrong-content', /longer/);
    hub.server.liedHashes.set('config.json', 'a'.repeat(40));
    await refused('wrong-content', /config\.json/);
    hub.server.liedHashes.clear();
    faults({ kind: 'shorter', by: 10 });
    await downloadAll(request, hub.options);
    await assertComplete();
  });

  it('names and hashes that leave the cache are refused', async () => {
    hub.server.liedHashes.set('model.safetensors', '../../evil');
    await refused('server', /cannot be right/);
    hub.server.liedHashes.clear();
    hub.server.repositories.set('a/b', { commit, files: { ...files, '../evil': Buffer.from('x') } });
    await refused('server', /"\.\.\/evil"/);
  });

  it('gated: the licence, the token, and no token for another origin', async () => {
    hub.server.repositories.set('a/b', { commit, files, gated: true });
    await refused('gated', /a\/b is gated.*accept the licence.*token/s);
    await refused('gated', /account of your access token/, {
      ...hub.options,
      token: () => Promise.resolve('hf_stranger'),
    });
    const { events } = await downloadAll(request, {
      ...hub.options,
      token: () => Promise.resolve('hf_good'),
    });
    await assertComplete();
    const authorizations = (server: 'hub' | 'cdn'): unknown[] => [
      ...new Set(
        hub.server.requests
          .slice(-8)
          .filter((seen) => seen.server === server)
          .map((seen) => seen.authorization),
      ),
    ];
    assert.deepEqual(authorizations('hub'), ['Bearer hf_good']);
    assert.deepEqual(authorizations('cdn'), [undefined]);
    assert(!JSON.stringify(events).includes('hf_good'));
    const record = await readFile(join(root(), 'spring-download.json'), 'utf8');
    assert(!record.includes('hf_good'));
  });

  it('unknown repository, revision and file', async () => {
    hub.server.repositories.delete('a/b');
    await refused('unauthorized', /check the name/);
    hub.server.repositories.set('a/b', { commit, files });
    await assert.rejects(downloadAll({ ...request, revision: 'v9' }, hub.options), /no such revision/);
    hub.server.fault = ({ path }) =>
      path.endsWith('config.json') ? { kind: 'status', status: 404 } : undefined;
    await refused('not-found', /a\/b/);
  });

  it('too many requests: waits as told, but not for ever', async () => {
    const limited: Fault = { kind: 'status', status: 429, headers: { 'Retry-After': '0' } };
    faults(limited, limited);
    await downloadAll(request, hub.options);
    await assertComplete();
    hub.server.fault = () => ({ kind: 'status', status: 429, headers: { 'Retry-After': '3600' } });
    await refused('rate-limited', /in 3600 s/);
    hub.server.requests.length = 0;
    hub.server.fault = () => limited;
    await refused('rate-limited', /too many requests/);
    assert.equal(hub.server.requests.length, 4);
  });

  it('a server in trouble is asked again a few times', async () => {
    faults({ kind: 'status', status: 503 }, { kind: 'status', status: 500 });
    await downloadAll(request, hub.options);
    await assertComplete();
    hub.server.fault = () => ({ kind: 'status', status: 502 });
    await refused('server', /status 502/);
  });

  it('an answer cut in the list is asked for again; one that is no JSON is explained', async () => {
    let cuts = 2;
    hub.server.fault = ({ path }) =>
      path.includes('/tree/') && cuts-- > 0 ? { kind: 'cut', after: 20 } : undefined;
    await downloadAll(request, hub.options);
    await assertComplete();
    hub.server.fault = ({ path }) => (path.includes('/tree/') ? { kind: 'shorter', by: 5 } : undefined);
    await refused('server', /no JSON.*proxy/);
  });

  it('not enough room: said before anything is fetched', async () => {
    const disk = { freeBytes: () => Promise.resolve(1000) };
    await refused('disk-full', /Not enough room.*1\.0 kB are free/, { ...hub.options, disk });
    assert.deepEqual(hub.server.contentRequests, []);
  });

  it('a disk that fills up: what has come stays, the next run goes on', async () => {
    let room = 30_000;
    const disk = {
      write: async (file: FileHandle, bytes: Uint8Array, position: number) => {
        if (bytes.length > room)
          throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
        room -= bytes.length;
        await file.write(bytes, 0, bytes.length, position);
      },
    };
    hub.server.fault = ({ server }) =>
      server === 'cdn' ? { kind: 'slow', chunk: 5000, pauseMs: 5 } : undefined;
    await refused('disk-full', /disk is full.*goes on from there/, { ...hub.options, disk });
    const kept = (await lstat(`${blob('model.safetensors')}.incomplete`)).size;
    assert(kept > 0, 'something was kept');
    const { result } = await downloadAll(request, hub.options);
    assert.equal(result.downloadedBytes, 50_000 - kept);
    await assertComplete();
  });

  it('offline is a state: a cached model is the result, another one a clear message', async () => {
    await refused('offline', /Models on this machine still work/, { ...hub.options, offline: true });
    await downloadAll(request, hub.options);
    const { result } = await downloadAll(request, { ...hub.options, offline: true });
    assert.equal(result.offline, true);
    assert.equal(result.folder, join(root(), 'snapshots', commit));
    const unreachable = { ...hub.options, endpoint: 'http://127.0.0.1:9' };
    assert.equal((await downloadAll(request, unreachable)).result.offline, true);
    await assert.rejects(downloadAll({ ...request, repository: 'c/d' }, unreachable), /cannot be reached/);
  });

  it('stops on cancel and goes on later', async () => {
    const controller = new AbortController();
    hub.server.fault = ({ server }) =>
      server === 'cdn' ? { kind: 'slow', chunk: 1000, pauseMs: 2 } : undefined;
    await assert.rejects(async () => {
      const signal = controller.signal;
      for await (const event of download(request, { ...hub.options, signal })) {
        if (event.type === 'progress' && event.file === 'model.safetensors') controller.abort();
      }
    }, CancelledError);
    hub.server.fault = () => undefined;
    await downloadAll(request, hub.options);
    await assertComplete();
  });

  it('leaving the loop stops the download and frees its lock', async () => {
    for await (const event of download(request, hub.options)) if (event.type === 'progress') break;
    assert.deepEqual(await readdir(join(hub.cacheDir, '.locks')), []);
    await downloadAll(request, hub.options);
    await assertComplete();
  });

  it('two downloads at once: one fetches, the other waits', async () => {
    hub.server.fault = ({ server }) =>
      server === 'cdn' ? { kind: 'slow', chunk: 10_000, pauseMs: 20 } : undefined;
    const [one, two] = await Promise.all([
      downloadAll(request, hub.options),
      downloadAll(request, hub.options),
    ]);
    await assertComplete();
    assert(one.result.downloadedBytes + two.result.downloadedBytes < 2 * one.result.totalBytes);
    assert.equal(hub.server.requests.filter(({ server }) => server === 'cdn').length, 1);
  });

  it("a cache of Python's huggingface_hub is used in place, without a write", async () => {
    await mkdir(join(root(), 'blobs'), { recursive: true });
    await mkdir(join(root(), 'snapshots', commit), { recursive: true });
    await mkdir(join(root(), 'refs'), { recursive: true });
    await writeFile(join(root(), 'refs', 'main'), commit);
    for (const name of neededNames) {
      const bytes = files[name]!;
      const etag = bytes.length >= 1000 ? digest('sha256', bytes) : gitHash(bytes);
      await writeFile(join(root(), 'blobs', etag), bytes);
      await symlink(join('..', '..', 'blobs', etag), join(root(), 'snapshots', commit, name));
    }
    const state = async (): Promise<string[]> => {
      const entries = await readdir(hub.cacheDir, { recursive: true });
      const stats = await Promise.all(entries.map((entry) => lstat(join(hub.cacheDir, entry))));
      return entries.map((entry, index) => `${entry} ${stats[index]!.mtimeMs} ${stats[index]!.ino}`).sort();
    };
    const before = await state();
    const { result } = await downloadAll(request, hub.options);
    assert.equal(result.downloadedBytes, 0);
    assert.equal(await resolveModel('a/b', { cacheDir: hub.cacheDir }), result.folder);
    assert.deepEqual(hub.server.contentRequests, []);
    assert.deepEqual(await state(), before);
  });

  it('--verify finds a damaged blob and fetches it again', async () => {
    await downloadAll(request, hub.options);
    const damaged = Buffer.from(files['model.safetensors']!);
    damaged[7] = damaged[7]! ^ 1;
    await writeFile(blob('model.safetensors'), damaged);
    assert.equal((await downloadAll(request, hub.options)).result.downloadedBytes, 0);
    assert.equal(
      (await downloadAll({ ...request, verify: true }, hub.options)).result.downloadedBytes,
      50_000,
    );
    await assertComplete();
  });
});
