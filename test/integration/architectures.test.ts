/** Every architecture, and every kind of rope and window, against golden values of transformers (test/oracle). */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts';
import { parseModelConfig } from '../../src/checkpoint/config.ts';
import { EmbeddingTable } from '../../src/checkpoint/embeddingTable.ts';
import type { JsonObject } from '../../src/checkpoint/files.ts';
import type { Checkpoint, ModelConfig } from '../../src/checkpoint/types.ts';
import { Decoder } from '../../src/decoder/decoder.ts';
import { allLogits, answers, scenarioPrompt } from '../support/decoding.ts';
import { architectureFolder, largestDifference, readArchitecture } from '../support/oracle.ts';
import { checkSpring, prefill } from '../support/springTraining.ts';

describe('architectures against transformers', () => {
  for (const name of readdirSync(architectureFolder).toSorted()) {
    describe(name, () => {
      const folder = join(architectureFolder, name);
      const golden = readArchitecture(name);

      it('the configuration is read alike as transformers 4 and 5 spell it', () => {
        assert.deepEqual(configOf(folder, 'config.v5.json'), configOf(folder, 'config.json'));
      });

      describe('decoding', () => {
        let decoder: Decoder;
        before(async () => {
          decoder = await Decoder.open(folder, { device: 'cpu', precision: 'f32' });
        });
        after(() => decoder.dispose());

        for (const [scenario, { logits_at }] of Object.entries(golden.scenarios)) {
          it(`${scenario}: logits`, async () => {
            const logits = await allLogits(decoder, scenarioPrompt(golden, scenario), logits_at);
            assert.ok(largestDifference(logits, golden.tensor(`${scenario}/logits`)) < 1e-4);
          });

          it(`${scenario}: greedy text`, async () => {
            const [answer] = await answers(decoder, [scenarioPrompt(golden, scenario)]);
            assert.deepEqual(answer, golden.scenarios[scenario]!.greedy_ids);
          });
        }

        it('all scenarios in one comparison: the same tokens as alone', async () => {
          const names = Object.keys(golden.scenarios);
          const expected = names.map((scenario) => golden.scenarios[scenario]!.greedy_ids);
          const prompts = names.map((scenario) => scenarioPrompt(golden, scenario));
          assert.deepEqual(await answers(decoder, prompts), expected);
          assert.deepEqual(await answers(decoder, prompts.toReversed()), expected.toReversed());
        });
      });

      describe('training', () => {
        let checkpoint: Checkpoint;
        let embeddings: EmbeddingTable;
        before(async () => {
          checkpoint = await openCheckpoint(folder);
          embeddings = await EmbeddingTable.open(checkpoint);
        });
        after(() => embeddings[Symbol.asyncDispose]());

        it('loss, gradient and tokens after three steps, differentiating the tail', async () => {
          const rows = await embeddings.rows(golden.prefix_ids);
          const past = await prefill(checkpoint, rows, golden.spring_training.labels.length);
          await checkSpring(golden, checkpoint, embeddings, { past: true }, past);
        });

        it('the same by differentiating the whole sequence', async () => {
          await checkSpring(golden, checkpoint, embeddings, { past: false });
        });
      });
    });
  }
});

function configOf(folder: string, file: string): ModelConfig {
  const path = join(folder, file);
  return parseModelConfig(readJson(path), readJson(join(folder, 'generation_config.json')), path);
}

function readJson(path: string): JsonObject {
  return JSON.parse(readFileSync(path, 'utf8')) as JsonObject;
}
