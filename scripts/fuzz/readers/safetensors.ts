/** safetensors files: headers and tensors. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors, readTensorBytes, writeSafetensors } from '../../../src/checkpoint/safetensors.ts';
import { readVirtualTokens } from '../../../src/checkpoint/virtualTokens.ts';
import { tinyTensors } from '../../../test/fixtures/checkpoint/tinyCheckpoint.ts';
import type { FuzzReader } from '../reader.ts';

export const safetensors: FuzzReader = {
  name: 'safetensors',
  async seeds(folder) {
    const path = join(folder, 'a.safetensors');
    const seeds = [];
    const rows = { name: 'rows', dtype: 'F16', shape: [4, 8], data: new Float32Array(32).fill(0.5) } as const;
    for (const tensors of [tinyTensors(), [{ ...rows, shape: [...rows.shape] }]]) {
      await writeSafetensors(path, tensors, { format: 'pt' });
      seeds.push({ 'a.safetensors': readFileSync(path) });
    }
    return seeds;
  },
  async read(folder) {
    const path = join(folder, 'a.safetensors');
    const { tensors } = await readSafetensors(path);
    for (const location of tensors.values()) await readTensorBytes(location);
    await readVirtualTokens(path);
  },
};
