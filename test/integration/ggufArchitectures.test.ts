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
import { float32Bytes, writeGguf } from '../support/ggufWriter.ts';
import type { MetadataValue } from '../support/ggufWriter.ts';
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

  it('Gemma 3 as Ollama has converted it: other keys, the vision part in the file, a token too many', async () => {
    const usual = await ggufOf(join(fixtures, 'gemma3'));
    const path = join(temporary, 'sha256-ollama');
    const renamed: Record<string, string | undefined> = {
      'gemma3.rope.freq_base': 'gemma3.rope.global.freq_base',
      'gemma3.attention.layer_norm_rms_epsilon': undefined,
    };
    writeGguf(path, {
      metadata: usual.metadata!.flatMap(([key, value]) => {
        if (key === 'tokenizer.ggml.tokens') return [[key, withOneMore(value, 'an image')] as const];
        if (key === 'tokenizer.ggml.token_type') return [[key, withOneMore(value, 1)] as const];
        const name = key in renamed ? renamed[key] : key;
        return name === undefined ? [] : [[name, value] as const];
      }),
      tensors: [
        ...usual.tensors!,
        { name: 'v.blk.0.attn_q.weight', dimensions: [4, 4], data: float32Bytes(new Float32Array(16)) },
        { name: 'mm.mm_soft_emb_norm.weight', dimensions: [4], data: float32Bytes(new Float32Array(4)) },
      ],
    });
    const golden = readGoldenFolder(join(fixtures, 'gemma3'));
    const decoder = await Decoder.open(path, { device: 'cpu', precision: 'f32' });
    try {
      assert.equal(decoder.checkpoint.config.textPartOnly, true);
      const prompt = scenarioPrompt(golden, 'baseline');
      const logits = await allLogits(decoder, prompt, golden.scenarios['baseline']!.logits_at);
      assert.ok(largestDifference(logits, golden.tensor('baseline/logits')) < 1e-4);
    } finally {
      await decoder.dispose();
    }
  });
});

function withOneMore(value: MetadataValue, more: string | number): MetadataValue {
  assert.ok(!Buffer.isBuffer(value) && value[0] === 'array');
  return ['array', value[1], [...value[2], more]];
}
