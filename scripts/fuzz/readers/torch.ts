/** `.pt` files, in both forms, plain and compressed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readVirtualTokens } from '../../../src/checkpoint/virtualTokens.ts';
import { withTensorFile } from '../../../src/checkpoint/tensorFile.ts';
import { legacyFile, pickle, tensor, writeZip } from '../../../test/fixtures/checkpoint/pickles.ts';
import type { FuzzReader } from '../reader.ts';

export const torch: FuzzReader = {
  name: 'torch',
  async seeds(folder) {
    const file = async (name: string, write: (path: string) => unknown): Promise<{ 'a.pt': Uint8Array }> => {
      const path = join(folder, name);
      await write(path);
      return { 'a.pt': readFileSync(path) };
    };
    const demo = join(import.meta.dirname, '../../../media/demo/spring-50.pt');
    return [
      { 'a.pt': readFileSync(demo) },
      await file('plain.pt', (path) => writeZip(path, pickle(tensor()))),
      await file('packed.pt', (path) => writeZip(path, pickle(tensor()), { compress: true })),
      { 'a.pt': legacyFile() },
    ];
  },
  async read(folder) {
    const path = join(folder, 'a.pt');
    await withTensorFile(path, async ({ tensors }) => {
      for (const { floatType, read } of tensors) if (floatType !== undefined) await read();
    });
    await readVirtualTokens(path);
  },
};
