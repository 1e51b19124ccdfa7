/** Damaged files are refused with a clear error or opened, never anything else (scripts/fuzz/gguf.ts tries more). */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '../../../../src/checkpoint/checkpoint.ts';
import { readRows } from '../../../../src/checkpoint/tensorRows.ts';
import { openTokenizer } from '../../../../src/checkpoint/tokenizer.ts';
import { UserError } from '../../../../src/protocol/errors.ts';
import { writeMutation } from '../../../support/ggufMutations.ts';
import { tinyModel } from '../../../support/tinyGgufModel.ts';
import { writeGguf } from '../../../support/ggufWriter.ts';

describe('damaged GGUF files', () => {
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'spring-mutations-'))));
  after(() => rmSync(folder, { recursive: true }));

  async function open(path: string): Promise<void> {
    const { config, tensors } = await openCheckpoint(path);
    await openTokenizer(path, config.vocabSize);
    for (const tensor of tensors.values()) await readRows(tensor, 0, 1);
  }

  it('the file that is damaged is sound', async () => {
    const path = join(folder, 'sound');
    writeGguf(path, tinyModel());
    await open(path);
  });

  it('200 of them', async () => {
    const path = join(folder, 'damaged');
    let refused = 0;
    for (let index = 0; index < 200; index++) {
      const said = writeMutation(path, 7, index);
      const start = performance.now();
      try {
        await open(path);
      } catch (error) {
        refused++;
        assert.ok(error instanceof UserError, `${said}: ${String((error as Error).stack)}`);
        assert.ok(error.message.includes(path), `${said}: ${error.message}`);
        assert.doesNotMatch(error.message, /[\p{Cc}\p{Cf}]/u, said);
      }
      assert.ok(performance.now() - start < 2000, said);
      if (statSync(path).size > 2 ** 30) rmSync(path);
    }
    assert.ok(refused > 100 && refused < 200, `${refused} refused`);
  });
});
