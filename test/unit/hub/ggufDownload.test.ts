/** GGUF repositories of the Hub: one quantisation is fetched, with all its parts, verified, found and removed. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { loadCatalogue } from '../../../src/hub/catalogue.ts';
import { HubError } from '../../../src/hub/hubError.ts';
import { overview, type OverviewRow } from '../../../src/hub/overview.ts';
import { planRemoval, remove } from '../../../src/hub/remove.ts';
import { requestOf } from '../../../src/hub/request.ts';
import { resolveModel } from '../../../src/hub/resolve.ts';
import type { DownloadResult } from '../../../src/hub/types.ts';
import { commit, contentsOf, downloadAll, openTestHub, type TestHub } from '../../fixtures/hub/testHub.ts';

const catalogue = loadCatalogue([
  { id: 'mine', repository: 'a/b-GGUF', file: 'Q4_0', downloadBytes: 30_000 },
]);

describe('GGUF repositories of the Hub', () => {
  let hub: TestHub;
  const files = {
    'README.md': Buffer.from('# GGUF'),
    'config.json': Buffer.from('{"model_type": "llama"}'),
    'b-Q4_0.gguf': randomBytes(30_000),
    'b-Q8_0.gguf': randomBytes(50_000),
    'F16/b-F16-00001-of-00002.gguf': randomBytes(60_000),
    'F16/b-F16-00002-of-00002.gguf': randomBytes(40_000),
    'mmproj-F16.gguf': randomBytes(70_000),
    'imatrix.gguf': randomBytes(1000),
  };
  beforeEach(async () => {
    hub = await openTestHub();
    hub.server.repositories.set('a/b-GGUF', { commit, files });
  });
  afterEach(() => hub.close());

  const root = (): string => join(hub.cacheDir, 'models--a--b-GGUF');
  const get = async (name: string, list = catalogue): Promise<DownloadResult> =>
    (await downloadAll(requestOf(name, list), hub.options)).result;
  const refused = (promise: Promise<unknown>, message: RegExp): Promise<void> =>
    assert.rejects(promise, (error) => {
      assert(error instanceof HubError, String(error));
      assert.equal(error.problem, 'unsupported');
      assert.match(error.message, message);
      return true;
    });
  const environment = (): { cacheDir: string } => ({ cacheDir: hub.cacheDir });

  it('fetches the file that is named and nothing else', async () => {
    for (const name of ['a/b-GGUF:Q4_0', 'a/b-GGUF:b-q4_0.gguf', 'mine', `a/b-GGUF@${commit}:q4_0`]) {
      const result = await get(name);
      assert.equal(result.path, join(root(), 'snapshots', commit, 'b-Q4_0.gguf'), name);
      assert.deepEqual(result.files, ['b-Q4_0.gguf']);
    }
    const contents = await contentsOf(join(root(), 'snapshots', commit));
    assert.deepEqual(Object.keys(contents), ['b-Q4_0.gguf']);
    assert(contents['b-Q4_0.gguf']!.equals(files['b-Q4_0.gguf']));
    assert.equal(hub.server.contentRequests.filter(({ server }) => server === 'cdn').length, 1);
  });

  it('a split file comes with all its parts; one that lacks a part is refused', async () => {
    const { path, totalBytes } = await get('a/b-GGUF:F16');
    assert.match(path, /F16\/b-F16-00001-of-00002\.gguf$/);
    assert.equal(totalBytes, 100_000);
    assert.equal(await resolveModel('a/b-GGUF:F16', environment()), path);
    const cut = Object.entries(files).filter(([path]) => !path.endsWith('00002-of-00002.gguf'));
    hub.server.repositories.set('a/b-GGUF', { commit: 'd'.repeat(40), files: Object.fromEntries(cut) });
    await refused(get('a/b-GGUF:F16'), /is split, and its parts 2 are not there/);
  });

  it('goes on after a cut, and a damaged file is not placed', async () => {
    const cuts = [1, 1];
    hub.server.fault = ({ server }) =>
      server === 'cdn' && cuts.pop() !== undefined ? { kind: 'cut', after: 20_000 } : undefined;
    const { downloadedBytes } = await get('a/b-GGUF:Q8_0');
    assert.equal(downloadedBytes, 50_000);
    const ranges = hub.server.contentRequests.flatMap(({ server, range }) =>
      server === 'cdn' ? [range] : [],
    );
    assert.match(ranges.at(-1) ?? '', /^bytes=[1-9]\d+-$/);
    const contents = await contentsOf(join(root(), 'snapshots', commit));
    assert(contents['b-Q8_0.gguf']!.equals(files['b-Q8_0.gguf']));

    hub.server.fault = ({ server }) => (server === 'cdn' ? { kind: 'corrupt', at: 7 } : undefined);
    await assert.rejects(get('a/b-GGUF:Q4_0'), HubError);
    assert.deepEqual(await readdir(join(root(), 'snapshots', commit)), ['b-Q8_0.gguf']);
  });

  it('without a tag what there is is listed with sizes and the recommended one; the only file needs none', async () => {
    await refused(
      get('a/b-GGUF', loadCatalogue()),
      /has several GGUF files\. Name one of:\n {2}a\/b-GGUF:F16, 100 kB \(recommended\)\n {2}a\/b-GGUF:Q4_0, 30 kB\n/,
    );
    await refused(get('a/b-GGUF:Q3_K_S'), /has no GGUF file "Q3_K_S"\. Name one of:\n/);
    assert.deepEqual(hub.server.contentRequests, []);
    hub.server.repositories.set('a/one', { commit, files: { 'one.gguf': files['b-Q4_0.gguf'] } });
    const { path } = await get('a/one');
    assert.equal(await resolveModel('a/one', environment()), path);
    hub.server.repositories.set('a/none', { commit, files: { 'config.json': Buffer.from('{}') } });
    await refused(get('a/none:Q4_0'), /has no GGUF file\./);
  });

  it('offline, what the cache has is the result', async () => {
    const { path } = await get('a/b-GGUF:Q4_0');
    const offline = { ...hub.options, offline: true };
    const { result } = await downloadAll(requestOf('a/b-GGUF:Q4_0', catalogue), offline);
    assert.deepEqual([result.offline, result.path], [true, path]);
    await assert.rejects(downloadAll(requestOf('a/b-GGUF:Q8_0', catalogue), offline), HubError);
  });

  it('an entry of the list is absent, unfinished or here, with its own memory', async () => {
    const row = async (memory = { available: 8e9, total: 8e9 }): Promise<OverviewRow> =>
      (await overview({ catalogue, cacheDir: hub.cacheDir, memory })).find(
        ({ entry }) => entry.id === 'mine',
      )!;
    const absent = await row();
    assert.deepEqual([absent.state, absent.path, Object.keys(absent.memory!)], ['absent', null, ['native']]);
    await get('a/b-GGUF:Q8_0');
    assert.deepEqual([(await row()).state, (await row()).diskBytes], ['absent', 0]);
    hub.server.fault = ({ server }) => (server === 'cdn' ? { kind: 'cut', after: 20_000 } : undefined);
    await assert.rejects(get('mine'));
    assert.equal((await row()).state, 'partial');
    hub.server.fault = () => undefined;
    const { path } = await get('mine');
    const here = await row();
    assert.deepEqual([here.state, here.path, here.diskBytes], ['downloaded', path, 30_000]);
    assert.deepEqual([here.runsHere?.precision, here.runsHere?.fit], ['native', 'runs']);
    assert.equal((await row({ available: 1e8, total: 1e8 })).runsHere, null);
    assert.equal(await resolveModel('mine', { ...environment(), catalogue }), path);
  });

  it('is removed with all its parts, and the other quantisations stay', async () => {
    await get('a/b-GGUF:Q4_0');
    await get('a/b-GGUF:F16');
    const plan = await planRemoval(requestOf('a/b-GGUF:f16', catalogue), hub.cacheDir);
    assert.equal(plan.freedBytes >= 100_000 && plan.freedBytes < 101_000, true, String(plan.freedBytes));
    await remove(plan, hub.cacheDir);
    const left = await contentsOf(join(root(), 'snapshots', commit));
    assert.deepEqual(Object.keys(left), ['b-Q4_0.gguf']);
    await remove(await planRemoval(requestOf('mine', catalogue), hub.cacheDir), hub.cacheDir);
    const kept = (await readdir(hub.cacheDir)).filter((name) => name.startsWith('models--'));
    assert.deepEqual(kept, []);
  });
});
