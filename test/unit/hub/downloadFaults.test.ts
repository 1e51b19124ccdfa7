import assert from 'node:assert/strict';
import { lstat, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { HubError } from '../../../src/hub/hubError.ts';
import { resolveModel } from '../../../src/hub/resolve.ts';
import type { Fault } from '../../fixtures/hub/hubServer.ts';
import { commit, contentsOf, downloadAll } from '../../fixtures/hub/testHub.ts';
import { request, TestDownloads } from './testDownloads.ts';

describe('downloads from a Hub in trouble', () => {
  const test = new TestDownloads();

  it('goes on where a cut connection ended', async () => {
    test.faults({ kind: 'cut', after: 20_000 }, { kind: 'cut', after: 1000 });
    const { result, events } = await downloadAll(request, test.hub.options);
    await test.assertComplete();
    assert(events.some((event) => event.type === 'waiting'));
    const ranges = test.hub.server.requests
      .filter(({ server }) => server === 'cdn')
      .map(({ range }) => range);
    assert.equal(ranges.length, 3);
    assert.equal(ranges[0], undefined);
    assert.match(ranges[1] ?? '', /^bytes=[1-9]\d*-$/);
    assert.equal(result.downloadedBytes, result.totalBytes);
  });

  it('goes on in a later run; nothing shows before it is complete', async () => {
    test.hub.server.fault = ({ server }) => (server === 'cdn' ? { kind: 'cut', after: 0 } : undefined);
    let first = true;
    test.hub.server.fault = ({ server }) => {
      if (server !== 'cdn') return undefined;
      const after = first ? 30_000 : 0;
      first = false;
      return { kind: 'cut', after };
    };
    await assert.rejects(downloadAll(request, test.hub.options), HubError);
    const kept = (await lstat(`${test.blob('model.safetensors')}.incomplete`)).size;
    assert(kept > 0 && kept <= 30_000, String(kept));
    assert.deepEqual(await contentsOf(join(test.root(), 'snapshots', commit)), {});
    await assert.rejects(resolveModel('a/b', { cacheDir: test.hub.cacheDir }), /spring download a\/b/);

    test.hub.server.fault = () => undefined;
    test.hub.server.requests.length = 0;
    const { result } = await downloadAll(request, test.hub.options);
    await test.assertComplete();
    assert.equal(result.downloadedBytes, 50_000 - kept);
    assert.equal(test.hub.server.contentRequests.at(-1)?.range, `bytes=${kept}-`);
  });

  it('a server that ignores or mistakes the range does no harm', async () => {
    test.faults({ kind: 'cut', after: 20_000 }, { kind: 'ignore-range' });
    await downloadAll(request, test.hub.options);
    await test.assertComplete();
    await rename(test.root(), `${test.root()}-old`);
    test.faults({ kind: 'cut', after: 20_000 }, { kind: 'wrong-range' });
    await downloadAll(request, test.hub.options);
    await test.assertComplete();
  });

  it('a stalled connection is cut and tried again', async () => {
    test.faults({ kind: 'stall', after: 10_000 });
    const retry = { ...test.hub.options.retry, attempts: 20, stallMs: 200 };
    await downloadAll(request, { ...test.hub.options, retry });
    await test.assertComplete();
  });

  it('wrong bytes are deleted, with an error', async () => {
    test.faults({ kind: 'corrupt', at: 40_000 });
    await test.refused('wrong-content', /model\.safetensors of a\/b .*deleted/);
    assert.deepEqual(
      (await readdir(join(test.root(), 'blobs'))).filter((name) => name.includes('incomplete')),
      [],
    );
    await assert.rejects(resolveModel('a/b', { cacheDir: test.hub.cacheDir }));
    await downloadAll(request, test.hub.options);
    await test.assertComplete();
  });

  it('wrong bytes of an earlier attempt: once more from the start', async () => {
    await mkdir(join(test.root(), 'blobs'), { recursive: true });
    await writeFile(`${test.blob('model.safetensors')}.incomplete`, Buffer.alloc(10_000, 9));
    await downloadAll(request, test.hub.options);
    await test.assertComplete();
    assert.equal(test.hub.server.requests.filter(({ server }) => server === 'cdn').length, 2);
  });

  it('a hash in the list that no bytes have, and a body of another length', async () => {
    test.faults({ kind: 'longer', by: 10 });
    await test.refused('wrong-content', /longer/);
    test.hub.server.liedHashes.set('config.json', 'a'.repeat(40));
    await test.refused('wrong-content', /config\.json/);
    test.hub.server.liedHashes.clear();
    test.faults({ kind: 'shorter', by: 10 });
    await downloadAll(request, test.hub.options);
    await test.assertComplete();
  });

  it('names and hashes that leave the cache are refused', async () => {
    test.hub.server.liedHashes.set('model.safetensors', '../../evil');
    await test.refused('server', /cannot be right/);
    test.hub.server.liedHashes.clear();
    test.hub.server.repositories.set('a/b', {
      commit,
      files: { ...test.files, '../evil': Buffer.from('x') },
    });
    await test.refused('server', /"\.\.\/evil"/);
  });

  it('gated: the licence, the token, and no token for another origin', async () => {
    test.hub.server.repositories.set('a/b', { commit, files: test.files, gated: true });
    await test.refused('gated', /a\/b is gated.*accept the licence.*token/s);
    await test.refused('gated', /account of your access token/, {
      ...test.hub.options,
      token: () => Promise.resolve('hf_stranger'),
    });
    const { events } = await downloadAll(request, {
      ...test.hub.options,
      token: () => Promise.resolve('hf_good'),
    });
    await test.assertComplete();
    const authorizations = (server: 'hub' | 'cdn'): unknown[] => [
      ...new Set(
        test.hub.server.requests
          .slice(-8)
          .filter((seen) => seen.server === server)
          .map((seen) => seen.authorization),
      ),
    ];
    assert.deepEqual(authorizations('hub'), ['Bearer hf_good']);
    assert.deepEqual(authorizations('cdn'), [undefined]);
    assert(!JSON.stringify(events).includes('hf_good'));
    const record = await readFile(join(test.root(), 'spring-download.json'), 'utf8');
    assert(!record.includes('hf_good'));
  });

  it('unknown repository, revision and file', async () => {
    test.hub.server.repositories.delete('a/b');
    await test.refused('unauthorized', /check the name/);
    test.hub.server.repositories.set('a/b', { commit, files: test.files });
    await assert.rejects(downloadAll({ ...request, revision: 'v9' }, test.hub.options), /no such revision/);
    test.hub.server.fault = ({ path }) =>
      path.endsWith('config.json') ? { kind: 'status', status: 404 } : undefined;
    await test.refused('not-found', /a\/b/);
  });

  it('too many requests: waits as told, but not for ever', async () => {
    const limited: Fault = { kind: 'status', status: 429, headers: { 'Retry-After': '0' } };
    test.faults(limited, limited);
    await downloadAll(request, test.hub.options);
    await test.assertComplete();
    test.hub.server.fault = () => ({ kind: 'status', status: 429, headers: { 'Retry-After': '3600' } });
    await test.refused('rate-limited', /in 3600 s/);
    test.hub.server.requests.length = 0;
    test.hub.server.fault = () => limited;
    await test.refused('rate-limited', /too many requests/);
    assert.equal(test.hub.server.requests.length, 4);
  });

  it('a server in trouble is asked again a few times', async () => {
    test.faults({ kind: 'status', status: 503 }, { kind: 'status', status: 500 });
    await downloadAll(request, test.hub.options);
    await test.assertComplete();
    test.hub.server.fault = () => ({ kind: 'status', status: 502 });
    await test.refused('server', /status 502/);
  });

  it('an answer cut in the list is asked for again; one that is no JSON is explained', async () => {
    let cuts = 2;
    test.hub.server.fault = ({ path }) =>
      path.includes('/tree/') && cuts-- > 0 ? { kind: 'cut', after: 20 } : undefined;
    await downloadAll(request, test.hub.options);
    await test.assertComplete();
    test.hub.server.fault = ({ path }) => (path.includes('/tree/') ? { kind: 'shorter', by: 5 } : undefined);
    await test.refused('server', /no JSON.*proxy/);
  });

  it('not enough room: said before anything is fetched', async () => {
    const disk = { freeBytes: () => Promise.resolve(1000) };
    await test.refused('disk-full', /Not enough room.*1\.0 kB are free/, { ...test.hub.options, disk });
    assert.deepEqual(test.hub.server.contentRequests, []);
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
    test.hub.server.fault = ({ server }) =>
      server === 'cdn' ? { kind: 'slow', chunk: 5000, pauseMs: 5 } : undefined;
    await test.refused('disk-full', /disk is full.*goes on from there/, { ...test.hub.options, disk });
    const kept = (await lstat(`${test.blob('model.safetensors')}.incomplete`)).size;
    assert(kept > 0, 'something was kept');
    const { result } = await downloadAll(request, test.hub.options);
    assert.equal(result.downloadedBytes, 50_000 - kept);
    await test.assertComplete();
  });
});
