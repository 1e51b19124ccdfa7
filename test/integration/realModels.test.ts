/**
 * Real models from their GGUF files against what transformers makes of the same, dequantised weights: logits after a
 * prompt, greedy answers where the margin decides, log probabilities of a text.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Decoder } from '../../src/decoder/decoder.ts';
import type { Precision } from '../../src/decoder/types.ts';
import { allLogits, generations } from '../support/decoding.ts';
import { oracleFolder } from '../support/oracle.ts';
import { realModel } from '../support/realModels.ts';

interface Golden {
  prompts: {
    prompt: string;
    ids: number[];
    /** Token ids and logits, best first. */
    top: [number, number][];
    logSumExp: number;
    greedy: number[];
    /** Best logit minus second best, of each greedy token. */
    margins: number[];
  }[];
  text: string;
  textIds: number[];
  textLogProbs: number[];
}

/** A greedy token with a smaller margin may go either way; what comes after it is another text. */
const decisive = 0.02;

/** By precision: largest difference of the best logits, and of the text's log probabilities on average. */
const tolerances: { precision: Precision; logits?: number; logProbability: Record<string, number> }[] = [
  { precision: 'f32', logits: 0.01, logProbability: { smollm2: 0.002, gemma3: 0.002 } },
  { precision: 'exact', logits: 0.01, logProbability: { smollm2: 0.002, gemma3: 0.002 } },
  // llama.cpp, which rounds activations to 8 bits as well, differs by 0.066 and 0.067; how sums are grouped moves such
  // rounding by some thousandths
  { precision: 'native', logProbability: { smollm2: 0.07, gemma3: 0.067 } },
];

for (const name of ['smollm2', 'gemma3'] as const) {
  const path = realModel(name);
  const goldenFile = join(oracleFolder, 'gguf', `${name}.json`);
  if (!path || !existsSync(goldenFile)) continue;
  describe(`real model ${name}`, function () {
    this.timeout(300_000);
    const golden = JSON.parse(readFileSync(goldenFile, 'utf8')) as Golden;
    let prepared: string;
    before(() => {
      prepared = mkdtempSync(join(tmpdir(), 'spring-prepared-'));
    });
    after(() => rmSync(prepared, { recursive: true, force: true }));

    for (const { precision, logits: logitTolerance, logProbability } of tolerances) {
      describe(precision, () => {
        let decoder: Decoder;
        before(async () => {
          decoder = await Decoder.open(path, { device: 'cpu', precision, quantizedFolder: prepared });
        });
        after(() => decoder.dispose());

        it('tokenises the prompts', () => {
          for (const { prompt, ids } of golden.prompts)
            assert.deepEqual(decoder.tokenizer.encode(prompt), ids);
          assert.deepEqual(decoder.tokenizer.encode(golden.text), golden.textIds);
        });

        it(`log probabilities of a text: ${logProbability[name]} on average`, async () => {
          const scores = await decoder.score({ parts: [{ tokenIds: golden.textIds }] });
          const differences = golden.textLogProbs.map((expected, i) => Math.abs(scores[i]! - expected));
          const mean = differences.reduce((a, b) => a + b, 0) / differences.length;
          assert.ok(mean <= logProbability[name]!, `mean difference ${mean}`);
        });

        if (logitTolerance === undefined) return;

        it('the best logits after each prompt', async () => {
          const { vocabSize } = decoder.checkpoint.config;
          for (const { prompt, ids, top } of golden.prompts) {
            const logits = (await allLogits(decoder, { parts: [{ tokenIds: ids }] })).subarray(-vocabSize);
            for (const [id, expected] of top) {
              const difference = Math.abs(logits[id]! - expected);
              assert.ok(difference < logitTolerance, `${prompt}: token ${id} is off by ${difference}`);
            }
          }
        });

        it('greedy answers, as far as margins decide', async () => {
          const prompts = golden.prompts.map(({ ids }) => ({ parts: [{ tokenIds: ids }] }));
          const answers = await generations(decoder, prompts, { maxNewTokens: 32, ignoreEos: true });
          golden.prompts.forEach(({ prompt, greedy, margins }, index) => {
            const unsure = margins.findIndex((margin) => margin < decisive);
            const length = unsure < 0 ? greedy.length : unsure;
            assert.deepEqual(answers[index]!.tokenIds.slice(0, length), greedy.slice(0, length), prompt);
          });
        });
      });
    }
  });
}
