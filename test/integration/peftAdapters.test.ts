/** Adapters that Python's peft wrote (test/fixtures/peft), on the demo model, and what it answered with them. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { readLoraAdapter, writeAdapter } from '../../src/checkpoint/lora.ts';
import type { LoraAdapter } from '../../src/checkpoint/types.ts';
import { Decoder } from '../../src/decoder/decoder.ts';
import { demoFolder } from '../support/oracle.ts';

const fixtures = resolve(import.meta.dirname, '../fixtures/peft');

interface Expected {
  prompt: number[];
  answer: number[];
  untouched: number[];
}

describe('adapters of Python’s peft', () => {
  let decoder: Decoder;
  before(async () => {
    decoder = await Decoder.open(demoFolder, { device: 'cpu' });
  });
  after(() => decoder.dispose());

  const answer = async (prompt: readonly number[], adapter?: LoraAdapter): Promise<number[]> => {
    const settings = { maxNewTokens: 16, ignoreEos: true };
    for await (const event of decoder.compare([{ parts: [{ tokenIds: [...prompt] }], adapter }], settings)) {
      if (event.type === 'done') return event.generation.tokenIds;
    }
    return [];
  };

  for (const name of ['patterns', 'rslora']) {
    it(`${name}: the same answer, also after it was written here`, async () => {
      const folder = join(fixtures, name);
      const text = await readFile(join(folder, 'expected.json'), 'utf8');
      const { prompt, answer: expected, untouched } = JSON.parse(text) as Expected;
      const { config } = decoder.checkpoint;
      const adapter = await readLoraAdapter(folder, config);
      assert.deepEqual(await answer(prompt), untouched);
      assert.deepEqual(await answer(prompt, adapter), expected);
      const copy = await mkdtemp(join(tmpdir(), 'peft-'));
      try {
        await writeAdapter(copy, adapter);
        assert.deepEqual(await answer(prompt, await readLoraAdapter(copy, config)), expected);
      } finally {
        await rm(copy, { recursive: true });
      }
    });
  }
});
