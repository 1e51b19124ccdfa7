import assert from 'node:assert/strict';
import { lstat, readdir, readFile, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadCatalogue } from '../../../src/hub/catalogue.ts';
import { overview } from '../../../src/hub/overview.ts';
import type { OverviewRow } from '../../../src/hub/overview.ts';
import { planRemoval, remove } from '../../../src/hub/remove.ts';
import type { RemovalPlan, RemovalRequest } from '../../../src/hub/remove.ts';
import { UserError } from '../../../src/protocol/errors.ts';
import { commit, contentsOf, downloadAll, modelFiles, openTestHub } from '../../fixtures/hub/testHub.ts';
import type { TestHub } from '../../fixtures/hub/testHub.ts';

const next = 'd'.repeat(40);
const request = { repository: 'a/b', kind: 'chat' } as const;

describe('removal and what is on this machine', () => {
  let hub: TestHub;
  let files: Record<string, Buffer>;
  beforeEach(async () => {
    hub = await openTestHub();
    files = modelFiles();
    hub.server.repositories.set('a/b', { commit, files });
  });
  afterEach(() => hub.close());

  const root = (): string => join(hub.cacheDir, 'models--a--b');
  async function removeIt(what: RemovalRequest): Promise<RemovalPlan> {
    const plan = await planRemoval(what, hub.cacheDir);
    await remove(plan, hub.cacheDir);
    return plan;
  }
  async function rowOf(id: string, entries: unknown[]): Promise<OverviewRow> {
    const rows = await overview({ cacheDir: hub.cacheDir, catalogue: loadCatalogue(entries) });
    return rows.find(({ entry }) => entry.id === id)!;
  }

  it('a model goes with all its bytes', async () => {
    const { result } = await downloadAll(request, hub.options);
    const plan = await removeIt(request);
    assert.equal(plan.freedBytes, result.totalBytes);
    assert.deepEqual(
      (await readdir(hub.cacheDir)).filter((name) => name.startsWith('models--')),
      [],
    );
    await assert.rejects(planRemoval(request, hub.cacheDir), UserError);
  });

  it('one commit goes; blobs that another uses stay', async () => {
    await downloadAll(request, hub.options);
    const changed: Record<string, Buffer> = {
      ...files,
      'config.json': Buffer.from('{"architectures": ["MistralForCausalLM"]}'),
    };
    hub.server.repositories.set('a/b', { commit: next, files: changed });
    const { result } = await downloadAll(request, hub.options);
    const plan = await removeIt({ ...request, revision: commit });
    assert.equal(plan.freedBytes, files['config.json']!.length);
    assert.deepEqual(await readdir(join(root(), 'snapshots')), [next]);
    for (const [name, bytes] of Object.entries(await contentsOf(result.folder))) {
      assert(bytes.equals(changed[name]!), name);
    }
    assert.equal(await readFile(join(root(), 'refs', 'main'), 'utf8'), next);
    assert(!(await readFile(join(root(), 'spring-download.json'), 'utf8')).includes(commit));
    assert.equal((await readdir(join(root(), 'blobs'))).length, 4);
  });

  it('one embedding file goes; the others of its repository stay', async () => {
    const pt = { 'x.pt': Buffer.alloc(2000, 1), 'y.pt': Buffer.alloc(3000, 2) };
    hub.server.repositories.set('a/b', { commit, files: pt });
    const x = { repository: 'a/b', kind: 'token-file', file: 'x.pt' } as const;
    const y = { ...x, file: 'y.pt' } as const;
    await downloadAll(x, hub.options);
    const { result } = await downloadAll(y, hub.options);
    assert.equal((await removeIt(x)).freedBytes, 2000);
    assert.deepEqual(Object.keys(await contentsOf(result.folder)), ['y.pt']);
    await assert.rejects(planRemoval(x, hub.cacheDir), /x\.pt of a\/b is not on this machine/);
    await removeIt(y);
    await assert.rejects(readdir(root()));
  });

  it('an unfinished download goes too', async () => {
    hub.server.fault = ({ server }) => (server === 'cdn' ? { kind: 'cut', after: 10_000 } : undefined);
    const retry = { ...hub.options.retry, attempts: 1 };
    await downloadAll(request, { ...hub.options, retry }).catch(() => undefined);
    const entry = { id: 'mine', repository: 'a/b' };
    const row = await rowOf('mine', [entry]);
    assert.equal(row.state, 'partial');
    assert(row.diskBytes > 0);
    assert((await removeIt(request)).freedBytes >= row.diskBytes);
    assert.equal((await rowOf('mine', [entry])).state, 'absent');
  });

  for (const kind of ['hard links', 'copies'] as const) {
    it(`without symbolic links: ${kind}`, async () => {
      const refuse = (): Promise<never> => Promise.reject(new Error('no rights'));
      const options = {
        ...hub.options,
        disk: { symlink: refuse, ...(kind === 'copies' && { link: refuse }) },
      };
      const { result } = await downloadAll(request, options);
      const pointer = await lstat(join(result.folder, 'model.safetensors'));
      assert(pointer.isFile());
      assert.equal(pointer.nlink, kind === 'copies' ? 1 : 2);
      assert.equal((await downloadAll(request, options)).result.downloadedBytes, 0);
      const changed: Record<string, Buffer> = { ...files, 'config.json': Buffer.from('{"x": 1}') };
      hub.server.repositories.set('a/b', { commit: next, files: changed });
      const newer = await downloadAll(request, options);
      assert.equal(newer.result.downloadedBytes, changed['config.json']!.length);
      await removeIt({ ...request, revision: commit });
      for (const [name, bytes] of Object.entries(await contentsOf(newer.result.folder))) {
        assert(bytes.equals(changed[name]!), name);
      }
      assert.equal((await readdir(join(root(), 'blobs'))).length, 4);
      await removeIt(request);
      await assert.rejects(readdir(root()));
    });
  }

  it('lists the state, the bytes and the commit, and other models of the cache', async () => {
    const entry = { id: 'mine', repository: 'a/b', gated: true };
    assert.equal((await rowOf('mine', [entry])).state, 'absent');
    const { result } = await downloadAll(request, hub.options);
    const row = await rowOf('mine', [entry]);
    assert.equal(row.state, 'downloaded');
    assert.equal(row.path, result.folder);
    assert.equal(row.commit, commit);
    assert.equal(row.diskBytes, result.totalBytes);
    assert.equal(row.memory, null);
    assert.equal((await rowOf('a/b', [])).entry.source, 'cache');
    assert.equal((await rowOf('demo', [])).state, 'built-in');
  });

  it('a shard that is gone makes the model partial', async () => {
    const { result } = await downloadAll(request, hub.options);
    const pointer = join(result.folder, 'model.safetensors');
    await unlink(pointer);
    assert.equal((await rowOf('mine', [{ id: 'mine', repository: 'a/b' }])).state, 'partial');
    await symlink('../../blobs/gone', pointer);
    assert.equal((await rowOf('mine', [{ id: 'mine', repository: 'a/b' }])).state, 'partial');
    await downloadAll(request, hub.options);
    assert.equal((await rowOf('mine', [{ id: 'mine', repository: 'a/b' }])).state, 'downloaded');
  });

  it('refuses while another process downloads', async () => {
    const { result } = await downloadAll(request, hub.options);
    const hash = 'e'.repeat(64);
    await writeFile(join(root(), 'blobs', `${hash}.incomplete`), 'x');
    await writeFile(join(hub.cacheDir, '.locks', `a--b--${hash}.spring-lock`), `${process.pid} elsewhere x`);
    await assert.rejects(removeIt(request), /being downloaded/);
    assert.equal(Object.keys(await contentsOf(result.folder)).length, 4);
  });
});
