/** The crafted files beside the repository: what must run runs, what must be refused is, each within its time. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Decoder } from '../../src/decoder/decoder.ts';
import { UserError } from '../../src/protocol/errors.ts';
import { answers } from '../support/decoding.ts';

const folder = resolve(import.meta.dirname, '../../../shared/cases/70-gguf');
const present = existsSync(folder);
if (!present) console.warn(`SKIPPED: no cases in ${folder}`);
const expected = present
  ? (JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Record<string, string>)
  : {};

/** "the ab c" after BOS, and what llama.cpp makes of plain.gguf behind it. */
const prompt = [1, 267, 265, 259, 262];
const continuation = [
  76, 76, 76, 76, 76, 70, 145, 176, 145, 100, 48, 94, 145, 94, 203, 236, 123, 232, 172, 202,
];

describe('crafted GGUF files', () => {
  for (const [name, expectation] of Object.entries(expected)) {
    it(`${name}: ${expectation}`, async () => {
      const start = performance.now();
      let decoder: Decoder | undefined;
      try {
        decoder = await Decoder.open(join(folder, `${name}.gguf`), { device: 'cpu', precision: 'f32' });
        const [ids] = await answers(decoder, [{ parts: [{ tokenIds: prompt }] }]);
        assert.notEqual(expectation, 'refused');
        assert.deepEqual(decoder.tokenizer.encode('the ab c'), prompt);
        assert.deepEqual(ids!.slice(0, continuation.length), continuation);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        assert.match(expectation, /refused$/, error.message);
        assert.ok(performance.now() - start < 1000);
        assert.match(error.message, new RegExp(`${name}\\.gguf`));
        assert.ok(!error.message.includes('\n') && error.message.length < 1000, error.message);
      } finally {
        await decoder?.dispose();
      }
    });
  }
});
