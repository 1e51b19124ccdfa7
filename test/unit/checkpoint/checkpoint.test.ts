import assert from 'node:assert/strict';
import {
  cpSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
} from 'node:fs';
import { statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../../src/protocol/errors.ts';
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts';
import { readTensor, type TensorToWrite } from '../../../src/checkpoint/safetensors.ts';
import {
  removeFolder,
  temporaryFolder,
  tinyConfig,
  tinyTensors,
  writeCheckpoint,
  writeJson,
  writeShardedCheckpoint,
} from '../../fixtures/checkpoint/tinyCheckpoint.ts';

describe('checkpoint folders', () => {
  let root: string;
  let folder: string;
  let count = 0;
  before(() => (root = temporaryFolder()));
  beforeEach(() => (folder = join(root, `model${count++}`)));
  after(() => removeFolder(root));

  async function refused(pattern: RegExp): Promise<void> {
    await assert.rejects(openCheckpoint(folder), (error: unknown) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, pattern);
      return true;
    });
  }

  it('opens one weight file', async () => {
    await writeCheckpoint(folder);
    const checkpoint = await openCheckpoint(folder);
    assert.equal(checkpoint.tensors.size, 3 + 2 * 9);
    assert.deepEqual(checkpoint.tensors.get('model.layers.1.mlp.down_proj.weight')?.shape, [16, 24]);
    assert.equal(checkpoint.weightBytes, statSync(join(folder, 'model.safetensors')).size);
  });

  it('opens shards', async () => {
    const shards = await writeShardedCheckpoint(folder);
    const checkpoint = await openCheckpoint(folder);
    assert.equal(checkpoint.tensors.size, 3 + 2 * 9);
    const bytes = shards.map((shard) => statSync(join(folder, shard)).size);
    assert.equal(checkpoint.weightBytes, bytes[0]! + bytes[1]!);
  });

  it('follows the symlinks of a Hub cache to the real files', async () => {
    const cache = join(root, 'models--tiny');
    const blobs = join(cache, 'blobs');
    folder = join(cache, 'snapshots', 'abc');
    await writeShardedCheckpoint(folder);
    mkdirSync(blobs, { recursive: true });
    for (const name of readdirSync(folder)) {
      renameSync(join(folder, name), join(blobs, `blob-of-${name}`));
      symlinkSync(join('..', '..', 'blobs', `blob-of-${name}`), join(folder, name));
    }
    const checkpoint = await openCheckpoint(folder);
    for (const location of checkpoint.tensors.values()) {
      assert.ok(location.file.startsWith(realpathSync(blobs)), location.file);
    }
    assert.equal((await readTensor(checkpoint.tensors.get('model.norm.weight')!)).length, 16);

    unlinkSync(join(blobs, 'blob-of-model-00002-of-00002.safetensors')); // the link dangles
    await refused(/model-00002-of-00002\.safetensors of 2 weight files is missing/);
  });

  it('names a missing or half-downloaded shard', async () => {
    const [first, second] = (await writeShardedCheckpoint(folder)) as [string, string];
    const path = join(folder, second);
    truncateSync(path, Math.floor(statSync(path).size / 2));
    await refused(/model-00002-of-00002\.safetensors is incomplete.*Download it again/);
    unlinkSync(path);
    await refused(/model-00002-of-00002\.safetensors of 2 weight files is missing/);
    unlinkSync(join(folder, first));
    await refused(
      /model-00001-of-00002\.safetensors, model-00002-of-00002\.safetensors of 2 weight files are missing/,
    );
  });

  it('refuses an index that points out of the folder or at the wrong shard', async () => {
    const [first, second] = (await writeShardedCheckpoint(folder)) as [string, string];
    const index = join(folder, 'model.safetensors.index.json');
    writeJson(index, { weight_map: { a: '../secret.safetensors' } });
    await refused(/places "a" in "\.\.\/secret\.safetensors", which is no file name/);
    writeJson(index, { weight_map: { 'lm_head.weight': second, 'model.norm.weight': first } });
    await refused(/model-0000\d-of-00002\.safetensors does not hold tensor "(lm_head|model\.norm)\.weight"/);
    writeJson(index, { metadata: {} });
    await refused(/has no "weight_map" object/);
  });

  it('names missing tensors and wrong shapes', async () => {
    const tensors = tinyTensors();
    await writeCheckpoint(
      folder,
      tinyConfig,
      tensors.filter(({ name }) => !name.includes('1.mlp')),
    );
    await refused(
      /model\.layers\.1\.mlp\.gate_proj\.weight; model\.layers\.1\.mlp\.up_proj\.weight; model\.layers\.1\.mlp\.down_proj\.weight are missing/,
    );
    await writeCheckpoint(
      folder,
      tinyConfig,
      tensors.filter(({ name }) => name !== 'lm_head.weight'),
    );
    await refused(/lm_head\.weight is missing from the weight files/);
    writeJson(join(folder, 'config.json'), {
      ...tinyConfig,
      intermediate_size: 20,
      tie_word_embeddings: true,
    });
    await refused(/0\.mlp\.gate_proj\.weight is \[24, 16\], expected \[20, 16\].*; and 1 more/);
  });

  it('refuses weights that are no float numbers', async () => {
    const tensors = tinyTensors().map((tensor) =>
      tensor.name === 'model.norm.weight'
        ? { ...tensor, dtype: 'U8' as const, data: new Uint8Array(16) }
        : tensor,
    );
    await writeCheckpoint(folder, tinyConfig, tensors);
    await refused(/model\.norm\.weight has the element type U8, expected F32, F16 or BF16/);
  });

  it('ignores tensors that the architecture does not use', async () => {
    const extra = (name: string, size: number): object => ({
      name,
      dtype: 'F32',
      shape: [size],
      data: new Float32Array(size),
    });
    const tensors = [...tinyTensors(), extra('model.layers.0.self_attn.rotary_emb.inv_freq', 2)];
    await writeCheckpoint(folder, tinyConfig, tensors as ReturnType<typeof tinyTensors>);
    const checkpoint = await openCheckpoint(folder);
    assert.equal(checkpoint.tensors.size, 3 + 2 * 9);
  });

  describe('a tied model whose files hold a head', () => {
    const tied = { ...tinyConfig, tie_word_embeddings: true };
    const embeddings = (): TensorToWrite & { data: Float32Array } =>
      tinyTensors(tied)[0] as TensorToWrite & { data: Float32Array };
    const withHead = (head: Partial<TensorToWrite>): Promise<void> =>
      writeCheckpoint(folder, tied, [
        ...tinyTensors(tied),
        { ...embeddings(), ...head, name: 'lm_head.weight' },
      ]);

    it('leaves out a copy of the embeddings, in whatever type', async () => {
      for (const dtype of ['F32', 'F16', 'BF16'] as const) {
        await withHead({ dtype });
        const checkpoint = await openCheckpoint(folder);
        assert.ok(checkpoint.config.tieWordEmbeddings);
        assert.ok(!checkpoint.ownHead);
        assert.ok(!checkpoint.tensors.has('lm_head.weight'));
        assert.equal(checkpoint.tensors.size, 2 + 2 * 9);
      }
    });

    it('takes a head that differs, though by the last value only', async () => {
      const data = embeddings().data.slice();
      data[data.length - 1]! += 1;
      await withHead({ data });
      const checkpoint = await openCheckpoint(folder);
      assert.ok(!checkpoint.config.tieWordEmbeddings);
      assert.ok(checkpoint.ownHead);
      assert.deepEqual(await readTensor(checkpoint.tensors.get('lm_head.weight')!), data);
    });

    it('refuses a head of another shape', async () => {
      await withHead({ shape: [16, 32] });
      await refused(/lm_head\.weight is \[16, 32\], expected \[32, 16\]/);
    });
  });

  it('asks for safetensors where there are only torch weights, and for weights where there are none', async () => {
    await writeCheckpoint(folder);
    rmSync(join(folder, 'model.safetensors'));
    await refused(/has no weights: neither model\.safetensors nor/);
    writeFileSync(join(folder, 'pytorch_model.bin'), 'x');
    await refused(/has its weights as pytorch_model\.bin only; safetensors files are needed/);
  });

  it('names a folder that is none, and a broken or missing config.json', async () => {
    await refused(/is missing; expected a model's folder/);
    await writeCheckpoint(folder);
    const copy = `${folder}-copy`;
    cpSync(folder, copy, { recursive: true });
    folder = copy;
    writeFileSync(join(folder, 'config.json'), '{"architectures": [');
    await refused(/config\.json is not valid JSON/);
    writeFileSync(join(folder, 'config.json'), 'version https://git-lfs.github.com/spec/v1');
    await refused(/config\.json is a git-lfs pointer/);
    rmSync(join(folder, 'config.json'));
    await refused(/config\.json is missing/);
    folder = join(folder, 'model.safetensors');
    await refused(/is a file; expected a model's folder/);
  });
});
