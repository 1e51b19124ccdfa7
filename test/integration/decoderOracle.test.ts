import assert from 'node:assert/strict';
import type { Prompt } from '../../src/decoder/types.ts';
import { Decoder } from '../../src/decoder/decoder.ts';
import { PromptUnits } from '../../src/decoder/promptUnits.ts';
import { largestDifference, oracleCheckpoints, readGolden, type Golden } from '../support/oracle.ts';

const settings = { maxNewTokens: 24, ignoreEos: true };

describe('decoder against the oracle', () => {
  for (const checkpoint of oracleCheckpoints()) {
    describe(checkpoint.name, () => {
      const golden = readGolden(checkpoint.name);
      let decoder: Decoder;
      const rows = golden.tensor('virtual_tokens'); // (50, hiddenSize)
      before(async () => {
        decoder = await Decoder.open(checkpoint.folder, { device: 'cpu' });
      });
      after(() => decoder.dispose());

      const promptOf = (name: string): Prompt =>
        scenarioPrompt(golden, name, rows, decoder.embeddings.hiddenSize);

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

function scenarioPrompt(golden: Golden, name: string, rows: Float32Array, hiddenSize: number): Prompt {
  const count = golden.scenarios[name]!.virtual_tokens;
  return {
    parts: [
      { tokenIds: golden.prefix_ids },
      { rows: { data: rows.subarray(0, count * hiddenSize), count } },
      { tokenIds: golden.suffix_ids },
    ],
  };
}

async function allLogits(decoder: Decoder, prompt: Prompt): Promise<Float32Array> {
  const promptUnits = new PromptUnits(decoder.embeddings);
  const units = promptUnits.fromPrompt(prompt);
  return decoder.session.forward({
    inputsEmbeds: await promptUnits.embeddings(units),
    sequence: units.length,
    cache: await decoder.session.allocate(1, units.length),
    adapters: [prompt.adapter],
    logitsIndices: [...units.keys()],
    ropeLength: units.length,
  });
}

async function answers(decoder: Decoder, prompts: Prompt[]): Promise<number[][]> {
  const results: number[][] = [];
  for await (const event of decoder.compare(prompts, settings)) {
    if (event.type === 'done') results[event.index] = event.generation.tokenIds;
  }
  return results;
}
