import assert from 'node:assert/strict';
import { lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { download } from '../../../src/hub/download.ts';
import { resolveModel } from '../../../src/hub/resolve.ts';
import { CancelledError } from '../../../src/protocol/errors.ts';
import { digest, gitHash } from '../../fixtures/hub/hubServer.ts';
import { commit, contentsOf, downloadAll, modelFiles } from '../../fixtures/hub/testHub.ts';
import { neededNames, request, TestDownloads } from './testDownloads.ts';

describe('downloads from the Hub', () => {
  const test = new TestDownloads();

  it('fetches the needed files alone, in the layout of the Hub cache', async () => {
    const { events, result } = await downloadAll(request, test.hub.options);
    await test.assertComplete();
    assert.equal(result.folder, await resolveModel('a/b', { cacheDir: test.hub.cacheDir }));
    assert.equal(await readFile(join(test.root(), 'refs', 'main'), 'utf8'), commit);
    const config = gitHash(test.files['config.json']!);
    assert.equal(await readlink(join(result.folder, 'config.json')), join('..', '..', 'blobs', config));
    assert.equal((await lstat(test.blob('model.safetensors'))).size, 50_000);
    assert.deepEqual(
      (await readdir(join(test.root(), 'blobs'))).filter((name) => name.includes('.')),
      [],
    );
    const total = neededNames.reduce((sum, name) => sum + test.files[name]!.length, 0);
    assert.equal(result.totalBytes, total);
    assert.equal(result.downloadedBytes, total);
    assert.deepEqual(events.map(({ type }) => type).slice(0, 1), ['plan']);
    const progress = events.filter((event) => event.type === 'progress');
    assert.equal(progress.at(-1)?.doneBytes, total);
  });

  it('records the commit and the verified hashes', async () => {
    await downloadAll(request, test.hub.options);
    const record = JSON.parse(await readFile(join(test.root(), 'spring-download.json'), 'utf8')) as {
      downloads: { commit: string; revision: string; files: { path: string; hash: { hex: string } }[] }[];
    };
    assert.equal(record.downloads[0]?.commit, commit);
    assert.equal(record.downloads[0].revision, 'main');
    const weights = record.downloads[0].files.find(({ path }) => path === 'model.safetensors');
    assert.equal(weights?.hash.hex, digest('sha256', test.files['model.safetensors']!));
  });

  it('fetches nothing twice, and only what a new commit changed', async () => {
    await downloadAll(request, test.hub.options);
    test.hub.server.requests.length = 0;
    assert.equal((await downloadAll(request, test.hub.options)).result.downloadedBytes, 0);
    assert.deepEqual(test.hub.server.contentRequests, []);

    const next = 'd'.repeat(40);
    test.files = { ...test.files, 'config.json': Buffer.from('{"new": true}') };
    test.hub.server.repositories.set('a/b', { commit: next, files: test.files });
    const { result } = await downloadAll(request, test.hub.options);
    assert.equal(result.downloadedBytes, test.files['config.json']!.length);
    assert.equal(
      await resolveModel('a/b', { cacheDir: test.hub.cacheDir }),
      join(test.root(), 'snapshots', next),
    );
  });

  it('a model in shards: those that the index names', async () => {
    const index = {
      weight_map: { x: 'model-00001-of-00002.safetensors', y: 'model-00002-of-00002.safetensors' },
    };
    const { 'model.safetensors': weights, ...others } = modelFiles();
    test.files = {
      ...others,
      'model.safetensors.index.json': Buffer.from(JSON.stringify(index)),
      'model-00001-of-00002.safetensors': weights!.subarray(0, 20_000),
      'model-00002-of-00002.safetensors': weights!.subarray(20_000),
      'consolidated.safetensors': weights!,
    };
    test.hub.server.repositories.set('a/b', { commit, files: test.files });
    const { result } = await downloadAll(request, test.hub.options);
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
    delete test.files['model-00002-of-00002.safetensors'];
    test.hub.server.repositories.set('a/b', { commit: 'd'.repeat(40), files: test.files });
    await test.refused('unsupported', /has no model-00002-of-00002/);
  });

  it('a single token file, and an embedding model in its folders', async () => {
    const tokenFile = { repository: 'a/b', kind: 'token-file', file: 'x.pt' } as const;
    test.files = {
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
    test.hub.server.repositories.set('a/b', { commit, files: test.files });
    const { result } = await downloadAll(tokenFile, test.hub.options);
    assert.deepEqual(Object.keys(await contentsOf(result.folder)), ['x.pt']);
    await downloadAll({ repository: 'a/b', kind: 'embedding', file: 'onnx/model.onnx' }, test.hub.options);
    assert.deepEqual(Object.keys(await contentsOf(result.folder)).sort(), [
      '1_Pooling/config.json',
      'config.json',
      'modules.json',
      'onnx/model.onnx',
      'tokenizer.json',
      'x.pt',
    ]);
  });

  it('offline is a state: a cached model is the result, another one a clear message', async () => {
    await test.refused('offline', /Models on this machine still work/, {
      ...test.hub.options,
      offline: true,
    });
    await downloadAll(request, test.hub.options);
    const { result } = await downloadAll(request, { ...test.hub.options, offline: true });
    assert.equal(result.offline, true);
    assert.equal(result.folder, join(test.root(), 'snapshots', commit));
    const unreachable = { ...test.hub.options, endpoint: 'http://127.0.0.1:9' };
    assert.equal((await downloadAll(request, unreachable)).result.offline, true);
    await assert.rejects(downloadAll({ ...request, repository: 'c/d' }, unreachable), /cannot be reached/);
  });

  it('stops on cancel and goes on later', async () => {
    const controller = new AbortController();
    test.hub.server.fault = ({ server }) =>
      server === 'cdn' ? { kind: 'slow', chunk: 1000, pauseMs: 2 } : undefined;
    await assert.rejects(async () => {
      const signal = controller.signal;
      for await (const event of download(request, { ...test.hub.options, signal })) {
        if (event.type === 'progress' && event.file === 'model.safetensors') controller.abort();
      }
    }, CancelledError);
    test.hub.server.fault = () => undefined;
    await downloadAll(request, test.hub.options);
    await test.assertComplete();
  });

  it('leaving the loop stops the download and frees its lock', async () => {
    for await (const event of download(request, test.hub.options)) if (event.type === 'progress') break;
    assert.deepEqual(await readdir(join(test.hub.cacheDir, '.locks')), []);
    await downloadAll(request, test.hub.options);
    await test.assertComplete();
  });

  it('two downloads at once: one fetches, the other waits', async () => {
    test.hub.server.fault = ({ server }) =>
      server === 'cdn' ? { kind: 'slow', chunk: 10_000, pauseMs: 20 } : undefined;
    const [one, two] = await Promise.all([
      downloadAll(request, test.hub.options),
      downloadAll(request, test.hub.options),
    ]);
    await test.assertComplete();
    assert(one.result.downloadedBytes + two.result.downloadedBytes < 2 * one.result.totalBytes);
    assert.equal(test.hub.server.requests.filter(({ server }) => server === 'cdn').length, 1);
  });

  it("a cache of Python's huggingface_hub is used in place, without a write", async () => {
    await mkdir(join(test.root(), 'blobs'), { recursive: true });
    await mkdir(join(test.root(), 'snapshots', commit), { recursive: true });
    await mkdir(join(test.root(), 'refs'), { recursive: true });
    await writeFile(join(test.root(), 'refs', 'main'), commit);
    for (const name of neededNames) {
      const bytes = test.files[name]!;
      const etag = bytes.length >= 1000 ? digest('sha256', bytes) : gitHash(bytes);
      await writeFile(join(test.root(), 'blobs', etag), bytes);
      await symlink(join('..', '..', 'blobs', etag), join(test.root(), 'snapshots', commit, name));
    }
    const state = async (): Promise<string[]> => {
      const entries = await readdir(test.hub.cacheDir, { recursive: true });
      const stats = await Promise.all(entries.map((entry) => lstat(join(test.hub.cacheDir, entry))));
      return entries.map((entry, index) => `${entry} ${stats[index]!.mtimeMs} ${stats[index]!.ino}`).sort();
    };
    const before = await state();
    const { result } = await downloadAll(request, test.hub.options);
    assert.equal(result.downloadedBytes, 0);
    assert.equal(await resolveModel('a/b', { cacheDir: test.hub.cacheDir }), result.folder);
    assert.deepEqual(test.hub.server.contentRequests, []);
    assert.deepEqual(await state(), before);
  });

  it('--verify finds a damaged blob and fetches it again', async () => {
    await downloadAll(request, test.hub.options);
    const damaged = Buffer.from(test.files['model.safetensors']!);
    damaged[7] = damaged[7]! ^ 1;
    await writeFile(test.blob('model.safetensors'), damaged);
    assert.equal((await downloadAll(request, test.hub.options)).result.downloadedBytes, 0);
    assert.equal(
      (await downloadAll({ ...request, verify: true }, test.hub.options)).result.downloadedBytes,
      50_000,
    );
    await test.assertComplete();
  });
});
