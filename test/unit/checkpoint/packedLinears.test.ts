/** GPTQ and AWQ checkpoints that do not hold what their configuration says. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts';
import { preparedWeights } from '../../../src/checkpoint/quantized/store.ts';
import { readSafetensors, readTensorBytes, writeSafetensors } from '../../../src/checkpoint/safetensors.ts';
import type { SafetensorsType } from '../../../src/checkpoint/types.ts';

const fixture = join(import.meta.dirname, '../../fixtures/quantized/gptq-4-symmetric-128');
const name = 'model.layers.0.mlp.up_proj';

describe('packed linear layers', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'spring-packed-'));
    cpSync(fixture, folder, { recursive: true });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Writes the weights anew with a tensor's bytes changed, or without it. */
  async function change(tensor: string, to: (bytes: Uint8Array) => Uint8Array | undefined): Promise<void> {
    const path = join(folder, 'model.safetensors');
    const { tensors } = await readSafetensors(path);
    const kept = [];
    for (const location of tensors.values()) {
      const bytes = await readTensorBytes(location);
      const data = location.name === tensor ? to(bytes) : bytes;
      if (data) kept.push({ ...location, dtype: location.dtype as SafetensorsType, data });
    }
    await writeSafetensors(path, kept);
  }

  async function prepare(): Promise<void> {
    const steps = preparedWeights(await openCheckpoint(folder), 'native', join(folder, 'kept'));
    while (!(await steps.next()).done);
  }

  it('as it is, it can be prepared', prepare);

  it('a missing part is named, with the shape it should have', async () => {
    await change(`${name}.qzeros`, () => undefined);
    await assert.rejects(prepare(), {
      name: 'UserError',
      message: /up_proj\.qzeros is missing, expected I32 \[1, /,
    });
  });

  it('groups in another order than the inputs are refused', async () => {
    await change(`${name}.g_idx`, (bytes) => {
      bytes[0] = 1;
      return bytes;
    });
    await assert.rejects(prepare(), {
      name: 'UserError',
      message: /up_proj\.g_idx.*act-order.*desc_act false/,
    });
  });

  it('scales that are not finite are refused', async () => {
    await change(`${name}.scales`, (bytes) => bytes.fill(0xff, 0, 4));
    await assert.rejects(prepare(), { name: 'UserError', message: /up_proj\.scales.*not finite/ });
  });
});
