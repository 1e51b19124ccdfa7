/** The local model as the one that augments. The demo model cannot; what it writes must do no harm. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Decoder } from '../../src/decoder/decoder.ts';
import type { GenerationSettings } from '../../src/decoder/types.ts';
import { augmentPassages } from '../../src/prag/augment.ts';
import { LocalGenerator } from '../../src/prag/generators.ts';
import { questionAnswerPrompt } from '../../src/prag/prompts.ts';
import { CancelledError } from '../../src/protocol/errors.ts';
import { demoFolder } from '../support/oracle.ts';

describe('augmenting with the local model', () => {
  let decoder: Decoder;
  before(async () => {
    decoder = await Decoder.open(demoFolder, { device: 'cpu' });
  });
  after(() => decoder.dispose());

  it('samples as the authors do, the same text with the same seed', async () => {
    const seen: GenerationSettings[] = [];
    const watched = Object.create(decoder, {
      compare: {
        value: (...args: Parameters<Decoder['compare']>) => {
          seen.push(args[1]);
          return decoder.compare(...args);
        },
      },
    }) as Decoder;
    const generator = new LocalGenerator(watched, 'demo');
    const message = questionAnswerPrompt('Breathelth listens on port 8144.');
    assert.equal(await generator.generate(message, 7), await generator.generate(message, 7));
    const { temperature, topK, maxNewTokens, seed } = seen[0]!;
    assert.deepEqual([temperature, topK, maxNewTokens, seed], [0.7, 50, 512, 7]);
  });

  it('gives up after the attempts, keeps nothing, and can be cancelled', async () => {
    const cacheFolder = await mkdtemp(join(tmpdir(), 'augment-'));
    try {
      let asked = 0;
      const options = { cacheFolder, maximumAttempts: 3, onAsk: () => (asked += 1) };
      const generator = new LocalGenerator(decoder, 'demo');
      for await (const { augmented, attempts } of augmentPassages(['A cache.'], generator, options)) {
        assert.deepEqual([augmented, attempts], [undefined, 3]);
      }
      assert.ok(asked >= 4, `asked ${asked} times`);
      assert.deepEqual(await readdir(cacheFolder), []);
      const controller = new AbortController();
      const cancelled = { ...options, signal: controller.signal, onAsk: () => controller.abort() };
      const progress = augmentPassages(['A cache.'], generator, cancelled);
      await assert.rejects(progress.next(), CancelledError);
    } finally {
      await rm(cacheFolder, { recursive: true });
    }
  });
});
