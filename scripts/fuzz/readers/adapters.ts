/** LoRA adapters: PEFT folders. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readLoraAdapter } from '../../../src/checkpoint/lora.ts';
import { readModelConfig } from '../../../src/checkpoint/checkpoint.ts';
import type { FuzzReader } from '../reader.ts';

const fixtures = join(import.meta.dirname, '../../../test/fixtures/peft');
const names = ['adapter_config.json', 'adapter_model.safetensors'];
const demo = join(import.meta.dirname, '../../../media/demo');

export const adapters: FuzzReader = {
  name: 'adapters',
  seeds: () =>
    Promise.resolve(
      ['patterns', 'rslora'].map((folder) =>
        Object.fromEntries(
          names.map((name) => [name, new Uint8Array(readFileSync(join(fixtures, folder, name)))]),
        ),
      ),
    ),
  async read(folder) {
    await readLoraAdapter(folder, await readModelConfig(demo));
  },
};
