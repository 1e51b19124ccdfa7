import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Prompt } from '../../src/decoder/types.ts';
import { mergeAdaptersCat, readLoraAdapter } from '../../src/checkpoint/lora.ts';
import type { LoraAdapter } from '../../src/checkpoint/types.ts';
import { Decoder } from '../../src/decoder/decoder.ts';
import { allLogits, answers, scenarioPrompt } from '../support/decoding.ts';
import { largestDifference, oracleCheckpoints, readGolden } from '../support/oracle.ts';

describe('decoder against the oracle', () => {
  for (const checkpoint of oracleCheckpoints()) {
    describe(checkpoint.name, () => {
      const golden = readGolden(checkpoint.name);
      let decoder: Decoder;
      before(async () => {
        decoder = await Decoder.open(checkpoint.folder, { device: 'cpu' });
      });
      after(() => decoder.dispose());

      const promptOf = (name: string): Prompt => scenarioPrompt(golden, name);

      for (const name of Object.keys(golden.scenarios)) {
        it(`${name}: logits of all positions`, async () => {
          const logits = await allLogits(decoder, promptOf(name));
          assert.ok(largestDifference(logits, golden.tensor(`${name}/logits`)) < 1e-4);
        });

        it(`${name}: greedy text`, async () => {
          const [answer] = await answers(decoder, [promptOf(name)]);
          assert.deepEqual(answer, golden.scenarios[name]!.greedy_ids);
        });
      }

      for (const name of ['base', 'adapter0', 'adapter1', 'adapter2', 'merged']) {
        it(`LoRA ${name}: logits, alone and behind passages`, async () => {
          const adapter = name === 'base' ? undefined : await readAdapter(checkpoint.adapters, name, decoder);
          const alone = await allLogits(decoder, { parts: [{ tokenIds: golden.prag.prompt_ids }], adapter });
          assert.ok(largestDifference(alone, golden.tensor(`prag/${name}/logits`)) < 1e-4);
          if (!adapter) return;
          const combined = await allLogits(decoder, { ...promptOf('baseline'), adapter });
          const last = combined.subarray(-decoder.checkpoint.config.vocabSize);
          assert.ok(largestDifference(last, golden.tensor(`prag/${name}/combine_last_logits`)) < 1e-4);
        });
      }

      it('LoRA merged here by "cat" gives the logits of the merged adapter', async () => {
        const names = ['adapter0', 'adapter1', 'adapter2'];
        const adapters = await Promise.all(
          names.map((name) => readAdapter(checkpoint.adapters, name, decoder)),
        );
        const adapter = mergeAdaptersCat(adapters, [1, 1, 1]);
        const logits = await allLogits(decoder, { parts: [{ tokenIds: golden.prag.prompt_ids }], adapter });
        assert.ok(largestDifference(logits, golden.tensor('prag/merged/logits')) < 1e-4);
      });

      it('no virtual tokens: the same logits bit for bit, whatever was asked before', async () => {
        const fresh = await Decoder.open(checkpoint.folder, { device: 'cpu' });
        try {
          const expected = await allLogits(fresh, promptOf('baseline'));
          await answers(decoder, [promptOf('vt50'), promptOf('baseline')]);
          assert.deepEqual(await allLogits(decoder, promptOf('baseline')), expected);
        } finally {
          await fresh.dispose();
        }
      });

      it('all scenarios in one comparison: the same tokens as alone', async () => {
        const names = Object.keys(golden.scenarios);
        const expected = names.map((name) => golden.scenarios[name]!.greedy_ids);
        assert.deepEqual(await answers(decoder, names.map(promptOf)), expected);
        const reversed = names.toReversed();
        assert.deepEqual(await answers(decoder, reversed.map(promptOf)), expected.toReversed());
      });
    });
  }
});

function readAdapter(folder: string, name: string, decoder: Decoder): Promise<LoraAdapter> {
  return readLoraAdapter(join(folder, name), decoder.checkpoint.config);
}
