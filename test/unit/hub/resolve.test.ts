import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadCatalogue } from '../../../src/hub/catalogue.ts';
import { resolveModel, resolveTokenFile } from '../../../src/hub/resolve.ts';
import { UserError } from '../../../src/protocol/errors.ts';

const commit = '0123456789abcdef0123456789abcdef01234567';

describe('names of models', () => {
  let cacheDir: string;
  beforeEach(async () => {
    cacheDir = await mkdtemp(join(tmpdir(), 'spring-cache-'));
  });
  afterEach(() => rm(cacheDir, { recursive: true }));

  /** A repository as Python's huggingface_hub leaves it. */
  async function cache(repository: string, files: Record<string, string>, ref = commit): Promise<string> {
    const root = join(cacheDir, `models--${repository.replace('/', '--')}`);
    const snapshot = join(root, 'snapshots', commit);
    await mkdir(join(root, 'blobs'), { recursive: true });
    await mkdir(join(root, 'refs'), { recursive: true });
    await mkdir(snapshot, { recursive: true });
    await writeFile(join(root, 'refs', 'main'), ref);
    for (const [name, text] of Object.entries(files)) {
      await writeFile(join(root, 'blobs', `blob-${name}`), text);
      await symlink(join('..', '..', 'blobs', `blob-${name}`), join(snapshot, name));
    }
    return snapshot;
  }
  const refused = (promise: Promise<unknown>, message: RegExp): Promise<void> =>
    assert.rejects(promise, (error) => error instanceof UserError && message.test(error.message));

  it('demo is the built-in model', async () => {
    assert.match(await resolveModel('demo', { cacheDir }), /media[\\/]demo$/);
    assert.match(await resolveTokenFile('spring-demo', { cacheDir }), /media[\\/]demo[\\/]spring-50\.pt$/);
  });

  it('a folder with a config.json is a checkpoint', async () => {
    await refused(resolveModel(cacheDir), /is no model: it has no config\.json/);
    const file = join(cacheDir, 'm-Q4_0.gguf');
    await writeFile(file, 'GGUF');
    assert.equal(await resolveModel(cacheDir), file);
    assert.equal(await resolveModel(file), file);
    await writeFile(join(cacheDir, 'm-Q8_0.gguf'), 'GGUF');
    await refused(resolveModel(cacheDir), /Of several GGUF files give the one to use/);
    await writeFile(join(cacheDir, 'config.json'), '{}');
    assert.equal(await resolveModel(cacheDir), cacheDir);
    await refused(
      resolveModel(join(cacheDir, 'config.json')),
      /is not a GGUF file.*give the checkpoint folder/,
    );
  });

  it('an id, a repository and a pinned revision name the snapshot of the cache', async () => {
    const files = { 'config.json': '{}', 'tokenizer.json': '{}', 'model.safetensors': '' };
    const snapshot = await cache('Qwen/Qwen3-0.6B', files);
    for (const name of ['qwen3-0.6b', 'Qwen3-0.6B', 'Qwen/Qwen3-0.6B', `Qwen/Qwen3-0.6B@${commit}`]) {
      assert.equal(await resolveModel(name, { cacheDir }), snapshot, name);
    }
    await refused(resolveModel('Qwen/Qwen3-0.6B@other', { cacheDir }), /spring download/);
  });

  it('finds the snapshot when main names a commit that is not there', async () => {
    const files = { 'config.json': '{}', 'tokenizer.json': '{}', 'model.safetensors': '' };
    const snapshot = await cache('a/b', files, 'f'.repeat(40));
    assert.equal(await resolveModel('a/b', { cacheDir }), snapshot);
  });

  it('says what an incomplete snapshot lacks', async () => {
    const index = JSON.stringify({ weight_map: { x: 'model-1.safetensors', y: 'model-2.safetensors' } });
    await cache('a/b', {
      'config.json': '{}',
      'tokenizer.json': '{}',
      'model.safetensors.index.json': index,
      'model-1.safetensors': '',
    });
    await refused(resolveModel('a/b', { cacheDir }), /lacks model-2\.safetensors.*spring download a\/b/);
  });

  it('a retrieval model needs other files than a decoder', async () => {
    const snapshot = await cache('a/b', { 'config.json': '{}', 'tokenizer.json': '{}' });
    const embedding = { cacheDir, kind: 'embedding' } as const;
    await refused(resolveModel('a/b', embedding), /lacks onnx\/model\.onnx.*download a\/b --kind embedding/);
    await mkdir(join(snapshot, 'onnx'));
    await writeFile(join(snapshot, 'onnx', 'model.onnx'), '');
    assert.equal(await resolveModel('a/b', embedding), snapshot);
    await refused(resolveModel('a/b', { cacheDir }), /lacks model\.safetensors/);
  });

  it('says how to get what is not there', async () => {
    await refused(resolveModel('qwen3-0.6b', { cacheDir }), /"spring download qwen3-0\.6b"/);
    await refused(resolveModel('nonsense', { cacheDir }), /The list has: demo, smollm2/);
    await refused(resolveModel('./nowhere', { cacheDir }), /no folder of that name/);
    await refused(resolveModel('spring-mistral-7b', { cacheDir }), /virtual tokens, not a model/);
    await refused(resolveTokenFile('spring-mistral-7b', { cacheDir }), /spring download spring-mistral-7b/);
  });

  it('users can add entries and replace shipped ones', async () => {
    const catalogue = loadCatalogue([
      { id: 'mine', folder: cacheDir },
      { id: 'qwen3-0.6b', repository: 'me/tuned' },
    ]);
    assert.equal(await resolveModel('mine', { catalogue, cacheDir }), cacheDir);
    await refused(resolveModel('me/tuned', { catalogue, cacheDir }), /download qwen3-0\.6b/);
    assert.throws(() => loadCatalogue([{ id: 'x', repository: '../x' }]), /owner\/name/);
    assert.throws(() => loadCatalogue([{ id: 'x' }]), /repository.*or "folder"/);
    assert.throws(() => loadCatalogue([{ repository: 'a/b' }]), /"id"/);
    assert.throws(() => loadCatalogue([{ id: 'x', repository: 'a/b', kind: 'video' }]), /"kind"/);
  });
});
