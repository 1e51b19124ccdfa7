/** Checkpoints with golden values of transformers, converted to GGUF: the same configuration, weights and answers. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts';
import { readRows } from '../../src/checkpoint/tensorRows.ts';
import { Decoder } from '../../src/decoder/decoder.ts';
import { allLogits, answers, scenarioPrompt } from '../support/decoding.ts';
import { ggufOf } from '../support/ggufConversion.ts';
import { writeGguf } from '../support/ggufWriter.ts';
import { largestDifference, oracleCheckpoints, readGolden, readGoldenFolder } from '../support/oracle.ts';
import type { Golden } from '../support/oracle.ts';

const fixtures = join(import.meta.dirname, '../fixtures/architectures');
/** Those whose rotation and windows the format can tell. */
const expressible = ['gemma3', 'granite', 'llama-linear', 'llama-yarn', 'phi-4-mini', 'smollm3'];

interface Subject {
  name: string;
  folder: string;
  golden: Golden;
}
const subjects: Subject[] = [
  ...expressible.map((name) => {
    const folder = join(fixtures, name);
    return { name, folder, golden: readGoldenFolder(folder) };
  }),
  ...oracleCheckpoints().map(({ name, folder }) => ({ name, folder, golden: readGolden(name) })),
];

describe('GGUF files of every architecture', () => {
  let temporary: string;
  before(() => (temporary = mkdtempSync(join(tmpdir(), 'spring-gguf-'))));
  after(() => rmSync(temporary, { recursive: true }));

  for (const { name, folder, golden } of subjects) {
    describe(name, () => {
      let path: string;
      before(async () => {
        path = join(temporary, name);
        writeGguf(path, await ggufOf(folder));
      });

      it('configuration and weights are those of the checkpoint', async () => {
        const original = await openCheckpoint(folder);
        const { format, config, tensors } = await openCheckpoint(path);
        assert.equal(format, 'gguf');
        const alike = ['hiddenSize', 'vocabSize', 'headDim', 'numKeyValueHeads', 'slidingWindows'] as const;
        for (const key of [
          ...alike,
          'bosTokenId',
          'tieWordEmbeddings',
          'attentionBias',
          'mlpBias',
        ] as const) {
          assert.deepEqual(config[key], original.config[key], key);
        }
        assert.deepEqual([...tensors.keys()].toSorted(), [...original.tensors.keys()].toSorted());
        for (const [tensor, location] of tensors) {
          if (name === 'gemma3' && tensor.endsWith('norm.weight')) continue;
          const expected = original.tensors.get(tensor)!;
          assert.deepEqual(location.shape, expected.shape);
          const rows = location.shape.length === 1 ? 1 : location.shape[0]!;
          assert.deepEqual(await readRows(location, 0, rows), await readRows(expected, 0, rows), tensor);
        }
      });

      describe('decoding', () => {
        let decoder: Decoder;
        before(async () => {
          decoder = await Decoder.open(path, { device: 'cpu', precision: 'f32' });
        });
        after(() => decoder.dispose());

        for (const scenario of Object.keys(golden.scenarios)) {
          it(`${scenario}: logits and greedy text of transformers`, async () => {
            const prompt = scenarioPrompt(golden, scenario);
            const { logits_at: positions, greedy_ids: greedy } = golden.scenarios[scenario]!;
            const logits = await allLogits(decoder, prompt, positions);
            assert.ok(largestDifference(logits, golden.tensor(`${scenario}/logits`)) < 1e-4);
            // What happens to an answer that leaves the length of the training is no matter of the file's format.
            const length = golden.prefix_ids.length + golden.suffix_ids.length + 50 + greedy.length;
            const { maxPositionEmbeddings, ropes } = decoder.checkpoint.config;
            const known = ropes[0]?.originalMaxPositionEmbeddings ?? maxPositionEmbeddings;
            if (length <= Math.min(known, maxPositionEmbeddings)) {
              assert.deepEqual(await answers(decoder, [prompt]), [greedy]);
            }
          });
        }
      });
    });
  }
});
