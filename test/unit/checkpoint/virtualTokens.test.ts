import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../../src/protocol/errors.ts';
import { writeSafetensors } from '../../../src/checkpoint/safetensors.ts';
import type { TensorToWrite } from '../../../src/checkpoint/safetensors.ts';
import { readVirtualTokens, writeVirtualTokens } from '../../../src/checkpoint/virtualTokens.ts';
import { bytes, pickle, sixValues, tensor, text, writeZip } from '../../fixtures/checkpoint/pickles.ts';
import { removeFolder, temporaryFolder, writeJson } from '../../fixtures/checkpoint/tinyCheckpoint.ts';

describe('virtual-token files', () => {
  let folder: string;
  before(() => (folder = temporaryFolder()));
  after(() => removeFolder(folder));

  const sha256 = createHash('sha256').update(Buffer.from(sixValues.buffer)).digest('hex');
  async function safetensors(...tensors: Partial<TensorToWrite>[]): Promise<string> {
    const path = join(folder, 'tokens.safetensors');
    const filled = tensors.map((changes) => {
      return { name: 'a', dtype: 'F32' as const, shape: [2, 3], data: sixValues, ...changes };
    });
    await writeSafetensors(path, filled);
    return path;
  }
  async function refused(path: string, pattern: RegExp, hiddenSize?: number): Promise<void> {
    await assert.rejects(readVirtualTokens(path, { hiddenSize }), (error: unknown) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, pattern);
      return true;
    });
  }

  for (const extension of ['pt', 'bin', 'safetensors']) {
    it(`reads the .${extension} that it wrote, with its metadata`, async () => {
      const path = join(folder, `written.${extension}`);
      await writeVirtualTokens(path, sixValues, 3, { model: 'demo' });
      const tokens = await readVirtualTokens(path, { hiddenSize: 3 });
      assert.deepEqual(tokens.data, sixValues);
      assert.deepEqual([tokens.count, tokens.hiddenSize, tokens.dtype], [2, 3, 'float32']);
      assert.equal(tokens.sha256, sha256);
      assert.equal(tokens.metadata['model'], 'demo');
      assert.equal(tokens.format, extension === 'safetensors' ? 'safetensors' : 'torch zip');
    });
  }

  it('reads half-width types as float32', async () => {
    const tokens = await readVirtualTokens(await safetensors({ dtype: 'BF16' }));
    assert.equal(tokens.dtype, 'bfloat16');
    assert.equal(tokens.sha256, sha256);
  });

  it('tells formats apart by content', async () => {
    const path = await writeZip(join(folder, 'tokens.model'), pickle(tensor()));
    assert.equal((await readVirtualTokens(path)).format, 'torch zip');
    const other = join(folder, 'safe.pt');
    await writeSafetensors(other, [{ name: 'x', dtype: 'F32', shape: [2, 3], data: sixValues }]);
    assert.equal((await readVirtualTokens(other)).format, 'safetensors');
  });

  it('reads PEFT prompt-tuning adapters, by folder, config or file', async () => {
    const adapter = join(folder, 'peft');
    mkdirSync(adapter);
    writeJson(join(adapter, 'adapter_config.json'), { peft_type: 'PROMPT_TUNING', num_virtual_tokens: 2 });
    await refused(adapter, /has neither adapter_model\.safetensors nor adapter_model\.bin/);
    const dict = pickle('}', text('prompt_embeddings'), tensor(), 's');
    await writeZip(join(adapter, 'adapter_model.bin'), dict);
    for (const path of [adapter, join(adapter, 'adapter_config.json'), join(adapter, 'adapter_model.bin')]) {
      const tokens = await readVirtualTokens(path);
      assert.equal(tokens.sha256, sha256);
      assert.equal(tokens.tensorName, 'prompt_embeddings');
    }
    writeJson(join(adapter, 'adapter_config.json'), { peft_type: 'LORA' });
    await refused(adapter, /peft_type "LORA"; expected "PROMPT_TUNING"\. It is a LoRA adapter/);
    await refused(folder, /is a folder without adapter_config\.json/);
  });

  it('takes the one matrix of numbers, or PEFT’s among several', async () => {
    const indices = { name: 'steps', dtype: 'I64' as const, shape: [1, 1], data: new Uint8Array(8) };
    const vector = { name: 'bias', shape: [6] };
    assert.equal(
      (await readVirtualTokens(await safetensors(indices, vector, { name: 'b' }))).tensorName,
      'b',
    );
    const several = await safetensors({ name: 'b' }, { name: 'prompt_embeddings' });
    assert.equal((await readVirtualTokens(several)).tensorName, 'prompt_embeddings');
    const ambiguous = await safetensors({ name: 'b' }, { name: 'c', shape: [3, 2] }, indices);
    await refused(ambiguous, /found steps \(I64, \[1, 1\]\), b \(F32, \[2, 3\]\), c \(F32, \[3, 2\]\)\.$/);
    const many = Array.from({ length: 9 }, (_, i) => ({ name: `t${i}` }));
    await refused(await safetensors(...many), /t4 \(F32, \[2, 3\]\) and 4 more\.$/);
    await refused(await safetensors(vector), /found bias \(F32, \[6\]\)/);
    await refused(await writeZip(join(folder, 'x.pt'), pickle('K', 42)), /found the number 42/);
    await refused(await writeZip(join(folder, 'x.pt'), pickle(bytes('}'))), /found a dict of 0 entries/);
  });

  it('refuses another width, rows that are not finite and no rows', async () => {
    const path = await safetensors({});
    await refused(
      path,
      /its virtual tokens are 3 wide \(shape \[2, 3\]\), the model's embeddings 64\. Choose/,
      64,
    );
    await refused(path, /Rows and columns seem to be swapped/, 2);
    await refused(
      await safetensors({ data: Float32Array.of(0, 1, 2, 3, NaN, 5) }),
      /holds NaN in virtual token 2/,
    );
    await refused(
      await safetensors({ data: Float32Array.of(0, -Infinity, 2, 3, 4, 5) }),
      /-Infinity in virtual token 1/,
    );
    await refused(
      await safetensors({ shape: [0, 3], data: new Float32Array(0) }),
      /no virtual tokens: its shape is \[0, 3\]/,
    );
    await refused(join(folder, 'nowhere.pt'), /nowhere\.pt is missing/);
  });

  it('writes to known extensions only', async () => {
    await assert.rejects(writeVirtualTokens(join(folder, 'x.npy'), sixValues, 3), /\.pt or \.safetensors/);
    await assert.rejects(
      writeVirtualTokens(join(folder, 'x.pt'), sixValues, 4),
      /6 values are not rows of 4/,
    );
  });
});
