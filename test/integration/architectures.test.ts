/** Every architecture, kind of rope and window, GGUF, GPTQ and AWQ against golden values of transformers (test/oracle). */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts';
import { parseModelConfig } from '../../src/checkpoint/config.ts';
import { EmbeddingTable } from '../../src/checkpoint/embeddingTable.ts';
import type { JsonObject } from '../../src/checkpoint/files.ts';
import type { Checkpoint, ModelConfig } from '../../src/checkpoint/types.ts';
import { Decoder } from '../../src/decoder/decoder.ts';
import { floatWeights } from '../../src/decoder/loading.ts';
import { allLogits, answers, scenarioPrompt } from '../support/decoding.ts';
import {
  architectureFolder,
  largestDifference,
  readArchitecture,
  readGoldenFolder,
  type Golden,
} from '../support/oracle.ts';
import { checkSpring, prefill } from '../support/springTraining.ts';

const fixtures = dirname(architectureFolder);

describe('architectures against transformers', () => {
  for (const name of fixturesIn('architectures')) {
    const folder = join(fixtures, 'architectures', name);
    describe(name, () => {
      it('the configuration is read alike as transformers 4 and 5 spell it', () => {
        assert.deepEqual(configOf(folder, 'config.v5.json'), configOf(folder, 'config.json'));
      });
      checkModel(folder, readArchitecture(name));
    });
  }
});

describe('GGUF files against transformers', () => {
  for (const name of fixturesIn('gguf')) {
    const folder = join(fixtures, 'gguf', name);
    const path = join(folder, 'model.gguf');
    describe(name, () => {
      checkModel(path, readGoldenFolder(folder));
      if (/-q\d/.test(name)) checkBlocks(path, readGoldenFolder(folder));
    });
  }
});

describe('GPTQ and AWQ checkpoints against transformers', () => {
  for (const name of fixturesIn('quantized')) {
    const folder = join(fixtures, 'quantized', name);
    if (name.endsWith('activation-order')) {
      it(`${name} is refused by name`, async () => {
        await assert.rejects(openCheckpoint(folder), { name: 'UserError', message: /desc_act/ });
      });
    } else
      describe(name, () => {
        checkModel(folder, readGoldenFolder(folder));
        checkBlocks(folder, readGoldenFolder(folder));
      });
  }
});

/** Logits, answers and training of the model at `path` as in its golden values. */
function checkModel(path: string, golden: Golden): void {
  let quantizedFolder: string;
  before(() => {
    quantizedFolder = mkdtempSync(join(tmpdir(), 'spring-architectures-'));
  });
  after(() => rmSync(quantizedFolder, { recursive: true }));

  describe('decoding', () => {
    let decoder: Decoder;
    before(async () => {
      decoder = await Decoder.open(path, { device: 'cpu', precision: 'f32', quantizedFolder });
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
      checkpoint = await floatWeights(await openCheckpoint(path), { quantizedFolder });
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
}

/** Logits of quantised weights run as they are stored, and weights quantised anew from their values. */
function checkBlocks(path: string, golden: Golden): void {
  it('training widens the weights by itself, on first use', async () => {
    const quantizedFolder = mkdtempSync(join(tmpdir(), 'spring-blocks-'));
    try {
      const checkpoint = await openCheckpoint(path);
      await using embeddings = await EmbeddingTable.open(checkpoint);
      await checkSpring(golden, checkpoint, embeddings, { past: false }, undefined, { quantizedFolder });
      assert.match(readdirSync(quantizedFolder).join(), /^[^,]+-f32$/);
    } finally {
      rmSync(quantizedFolder, { recursive: true });
    }
  });

  for (const [precision, least, most] of [
    ['exact', 0, 1e-4],
    ['native', 1e-5, 0.03],
    ['int8', 1e-5, 0.03],
    ['int4', 1e-5, 0.3],
  ] as const) {
    it(`in ${precision}: logits`, async () => {
      const quantizedFolder = mkdtempSync(join(tmpdir(), 'spring-blocks-'));
      const decoder = await Decoder.open(path, { device: 'cpu', precision, quantizedFolder });
      try {
        const { logits_at } = golden.scenarios['vt10']!;
        const logits = await allLogits(decoder, scenarioPrompt(golden, 'vt10'), logits_at);
        const expected = golden.tensor('vt10/logits');
        const mean =
          logits.reduce((sum, value, i) => sum + Math.abs(value - expected[i]!), 0) / logits.length;
        assert.ok(mean >= least && mean < most, `mean difference ${mean}`);
        if (precision === 'exact') assert.ok(largestDifference(logits, expected) < 1e-4);
      } finally {
        await decoder.dispose();
        rmSync(quantizedFolder, { recursive: true });
      }
    });
  }
}

function fixturesIn(kind: string): string[] {
  return readdirSync(join(fixtures, kind)).toSorted();
}

function configOf(folder: string, file: string): ModelConfig {
  const path = join(folder, file);
  return parseModelConfig(readJson(path), readJson(join(folder, 'generation_config.json')), path);
}

function readJson(path: string): JsonObject {
  return JSON.parse(readFileSync(path, 'utf8')) as JsonObject;
}
