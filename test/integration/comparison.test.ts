import assert from 'node:assert/strict';
import { readLoraAdapter } from '../../src/checkpoint/lora.ts';
import { Decoder } from '../../src/decoder/decoder.ts';
import { answers, generations, orderedSubsets, scenarioPrompt } from '../support/decoding.ts';
import { oracleCheckpoints, readGolden } from '../support/oracle.ts';

describe('comparisons give what separate runs give', () => {
  for (const checkpoint of oracleCheckpoints()) {
    describe(checkpoint.name, () => {
      const golden = readGolden(checkpoint.name);
      const names = Object.keys(golden.scenarios);
      const expected = (name: string): number[] => golden.scenarios[name]!.greedy_ids;
      let decoder: Decoder;
      before(async () => {
        decoder = await Decoder.open(checkpoint.folder, { device: 'cpu', precision: 'f32' });
      });
      after(() => decoder.dispose());

      it('every subset of the variants, in every order', async function () {
        this.timeout(120_000);
        const subsets = orderedSubsets(names);
        assert.equal(subsets.length, 64);
        for (const subset of subsets) {
          const prompts = subset.map((name) => scenarioPrompt(golden, name));
          assert.deepEqual(await answers(decoder, prompts), subset.map(expected), subset.join());
        }
      });

      it('all variants as the first question, when no passage is known yet', async () => {
        for (const order of [names, names.toReversed()]) {
          const fresh = await Decoder.open(checkpoint.folder, { device: 'cpu', precision: 'f32' });
          const prompts = order.map((name) => scenarioPrompt(golden, name));
          assert.deepEqual(await answers(fresh, prompts), order.map(expected));
          await fresh.dispose();
        }
      });

      it('another question on the same passages uses their keys and values again', async () => {
        const fresh = await Decoder.open(checkpoint.folder, { device: 'cpu', precision: 'f32' });
        const [first] = await generations(fresh, [scenarioPrompt(golden, 'vt50')]);
        assert.equal(first!.sharedTokens, 0);
        const again = await generations(
          fresh,
          names.map((name) => scenarioPrompt(golden, name)),
        );
        assert.deepEqual(
          again.map(({ tokenIds }) => tokenIds),
          names.map(expected),
        );
        const passages = golden.prefix_ids.length;
        for (const { sharedTokens } of again) assert.ok(sharedTokens >= passages, `${sharedTokens} shared`);
        await fresh.dispose();
      });

      it('every row of a batch has its own adapter', async function () {
        this.timeout(60_000);
        const folders = ['adapter0', 'adapter1', 'merged'].map((name) => `${checkpoint.adapters}/${name}`);
        const adapters = await Promise.all(
          folders.map((folder) => readLoraAdapter(folder, decoder.checkpoint.config)),
        );
        const prompt = scenarioPrompt(golden, 'baseline');
        const prompts = [undefined, ...adapters, undefined].map((adapter) => ({ ...prompt, adapter }));
        const together = await answers(decoder, prompts);
        const alone: number[][] = [];
        for (const one of prompts) alone.push((await answers(decoder, [one]))[0]!);
        assert.deepEqual(together, alone);
        assert.deepEqual(together[0], expected('baseline'));
        assert.deepEqual(together[3], golden.prag.greedy['merged_combine']!.greedy_ids);
        assert.deepEqual(together[4], together[0]);
      });
    });
  }
});
