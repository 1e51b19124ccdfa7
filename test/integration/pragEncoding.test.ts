import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts';
import { EmbeddingTable } from '../../src/checkpoint/embeddingTable.ts';
import { readLoraAdapter } from '../../src/checkpoint/lora.ts';
import type { LoraAdapter } from '../../src/checkpoint/types.ts';
import { Decoder } from '../../src/decoder/decoder.ts';
import { parseVariants } from '../../src/methods/chooseVariants.ts';
import { buildVariant } from '../../src/methods/prepare.ts';
import { AdapterStore } from '../../src/prag/adapterStore.ts';
import { preparedAugmenter } from '../../src/prag/augmenter.ts';
import { openLoraTraining, PassageEncoder, type EncodeProgress } from '../../src/prag/encode.ts';
import { initialAdapter } from '../../src/prag/initialAdapter.ts';
import { LoraTraining } from '../../src/prag/loraTraining.ts';
import { encoderModel, mergeAdapters, mergedAdapter } from '../../src/prag/passageAdapters.ts';
import { authorsRecipe, makeRecipe, modelKey, type EncodingRecipe } from '../../src/prag/recipe.ts';
import { unrelatedPassages } from '../../src/prag/unrelatedPassages.ts';
import { warmUp, type WarmUpProgress } from '../../src/prag/warmUp.ts';
import { CancelledError, UserError } from '../../src/protocol/errors.ts';
import { demoFolder, largestDifference, oracleCheckpoints, readGolden } from '../support/oracle.ts';

const passages = unrelatedPassages.map(({ passage }) => passage);

describe('training an adapter, against the oracle', () => {
  for (const oracle of oracleCheckpoints()) {
    it(`${oracle.name}: losses and factors after three steps`, async () => {
      const golden = readGolden(oracle.name);
      const { input_ids, labels, runs } = golden.prag_training;
      const checkpoint = await openCheckpoint(oracle.folder);
      await using embeddings = await EmbeddingTable.open(checkpoint);
      const session = await openLoraTraining(checkpoint);
      const start = await readLoraAdapter(join(oracle.adapters, 'init'), checkpoint.config);
      const before = start.id;
      for (const [name, { labels: labelSet, losses, optimizer }] of Object.entries(runs)) {
        const settings = { learningRate: optimizer.lr, weightDecay: optimizer.weight_decay };
        const training = new LoraTraining(session, embeddings, start, settings);
        const answerStart = labels[labelSet]!.findIndex((label) => label !== -100);
        const sequence = { tokenIds: input_ids, labelStart: Math.max(1, answerStart) };
        for (let step = 0; step < optimizer.steps; step++) {
          const loss = await training.step(sequence);
          assert.ok(Math.abs(loss - losses[step]!) < 2e-5, `${name}: loss ${step} is ${loss}`);
        }
        for (const [key, { a, b }] of training.adapter().pairs) {
          const [layer, module] = key.split('.');
          for (const [side, factor] of [
            ['A', a],
            ['B', b],
          ] as const) {
            const peftKey = `base_model.model.model.layers.${layer}.mlp.${module}.lora_${side}.weight`;
            const expected = golden.tensor(`prag_training/${name}/final/${peftKey}`);
            assert.ok(largestDifference(factor, expected) < 2e-5, `${name} ${peftKey}`);
          }
        }
      }
      assert.equal(start.id, before);
      assert.equal(
        start.pairs
          .values()
          .next()
          .value!.b.every((value) => value === 0),
        true,
      );
      await session.dispose();
    });
  }
});

describe('encoding passages on the demo model', () => {
  let decoder: Decoder;
  let folder: string;
  before(async () => {
    decoder = await Decoder.open(demoFolder, { device: 'cpu' });
  });
  after(() => decoder.dispose());
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'adapters-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const open = (
    recipe: Partial<EncodingRecipe> = {},
    options: { storeBytes?: number; startFolder?: string } = {},
  ): Promise<PassageEncoder> =>
    PassageEncoder.open(encoderModel(decoder, 'demo'), {
      store: new AdapterStore(folder, options.storeBytes),
      augmenter: preparedAugmenter([{ augmented: [...unrelatedPassages] }]),
      recipe: makeRecipe(recipe),
      startFolder: options.startFolder,
    });
  const encode = async (encoder: PassageEncoder, texts = passages): Promise<EncodeProgress[]> => {
    const all: EncodeProgress[] = [];
    for await (const progress of encoder.encode(texts)) all.push(progress);
    await encoder.dispose();
    return all;
  };
  const adaptersIn = (progress: readonly EncodeProgress[]): LoraAdapter[] =>
    progress.flatMap((entry) => (entry.type === 'encoded' ? [entry.adapter] : []));
  const ids = (progress: readonly EncodeProgress[]): string[] => adaptersIn(progress).map(({ id }) => id);

  it('five steps per passage that learn it; the second time from the store', async () => {
    const first = await encode(await open());
    assert.equal(first.filter(({ type }) => type === 'step').length, 15);
    assert.equal(new Set(ids(first)).size, 3);
    const again = await encode(await open());
    assert.deepEqual(ids(again), ids(first));
    assert.ok(again.every((entry) => entry.type === 'encoded' && entry.fromStore));
    const more = await encode(await open({ epochs: 4 }), [passages[0]!]);
    const losses = more.flatMap((entry) => (entry.type === 'step' ? [entry.loss] : []));
    assert.ok(losses.at(-5)! < losses[0]!, `${losses.at(-5)} after ${losses[0]}`);
  });

  it('stores what PEFT loads', async () => {
    const [last] = (await encode(await open(), [passages[0]!])).slice(-1);
    assert.ok(last?.type === 'encoded');
    assert.deepEqual((await readdir(last.folder)).sort(), [
      'adapter_config.json',
      'adapter_model.safetensors',
      'passage.json',
    ]);
    const config = JSON.parse(await readFile(join(last.folder, 'adapter_config.json'), 'utf8')) as object;
    assert.deepEqual(
      Object.entries(config).filter(([name]) =>
        ['r', 'lora_alpha', 'peft_type', 'lora_dropout'].includes(name),
      ),
      [
        ['lora_alpha', 32],
        ['lora_dropout', 0],
        ['peft_type', 'LORA'],
        ['r', 2],
      ],
    );
    assert.equal((await readLoraAdapter(last.folder, decoder.checkpoint.config)).id, last.adapter.id);
  });

  it('another recipe, start or augmentation is another adapter', async () => {
    const keys = new Set<string>();
    for (const recipe of [
      {},
      { epochs: 2 },
      { labels: 'answer' },
      { seed: 1 },
      { weightDecay: 0 },
    ] as const) {
      const [last] = (await encode(await open(recipe), [passages[0]!])).slice(-1);
      assert.ok(last?.type === 'encoded' && !last.fromStore);
      keys.add(last.folder);
    }
    assert.equal(keys.size, 5);
  });

  it('goes on after a cancellation, with the same result', async () => {
    const whole = ids(await encode(await open()));
    await rm(folder, { recursive: true });
    const controller = new AbortController();
    const encoder = await open();
    let steps = 0;
    await assert.rejects(async () => {
      for await (const progress of encoder.encode(passages, controller.signal)) {
        if (progress.type === 'step' && ++steps === 7) controller.abort();
      }
    }, CancelledError);
    assert.equal(steps, 7);
    const rest = await encode(encoder);
    assert.deepEqual(ids(rest), whole);
    assert.equal(rest.filter((entry) => entry.type === 'encoded' && entry.fromStore).length, 1);
  });

  it('a passage without questions is left out; if all are, that is an error', async () => {
    const encoder = await open();
    const progress = await encode(encoder, ['unknown', passages[0]!]);
    assert.equal(progress.find(({ type }) => type === 'failed')?.index, 0);
    assert.equal(ids(progress).length, 1);
    const merging = mergedAdapter(encoder, ['unknown']);
    await assert.rejects(async () => {
      while (!(await merging.next()).done);
    }, UserError);
  });

  it('the store keeps within its size: the least recently used go', async () => {
    const [one] = (await encode(await open(), [passages[0]!])).slice(-1);
    assert.ok(one?.type === 'encoded');
    const store = new AdapterStore(folder);
    const { bytes } = (await store.list())[0]!;
    await encode(await open(), [passages[1]!]);
    // the first was used a day ago, the second yesterday at noon
    const all = await store.list();
    for (const stored of all) {
      const day = stored.passage === passages[0] ? 2 : 1;
      const time = new Date(Date.now() - day * 86_400_000);
      await utimes(join(stored.folder, 'passage.json'), time, time);
    }
    await encode(await open({}, { storeBytes: 2.5 * bytes }), [passages[0]!]); // reading counts as use
    await encode(await open({}, { storeBytes: 2.5 * bytes }), [passages[2]!]);
    assert.deepEqual((await store.list()).map(({ passage }) => passages.indexOf(passage)).sort(), [0, 2]);
  });

  it('a damaged adapter is trained again', async () => {
    const [one] = (await encode(await open(), [passages[0]!])).slice(-1);
    assert.ok(one?.type === 'encoded');
    await writeFile(join(one.folder, 'adapter_model.safetensors'), 'rubbish');
    const { config } = decoder.checkpoint;
    const [model, key] = one.folder.split(sep).slice(-2) as [string, string];
    assert.equal(await new AdapterStore(folder).read({ model, key }, config), undefined);
    assert.equal(await (await open()).isEncoded(passages[0]!), false);
    const [again] = (await encode(await open(), [passages[0]!])).slice(-1);
    assert.ok(again?.type === 'encoded' && !again.fromStore);
    assert.equal(again.adapter.id, one.adapter.id);
  });

  it('a start of another rank is refused', async () => {
    const [one] = (await encode(await open(), [passages[0]!])).slice(-1);
    assert.ok(one?.type === 'encoded');
    await assert.rejects(open({ rank: 4 }, { startFolder: one.folder }), /has rank 2 and alpha 32/);
    const second = await encode(await open({}, { startFolder: one.folder }), [passages[1]!]);
    assert.equal(ids(second).length, 1);
  });

  it('all variants in one comparison answer as each alone', async () => {
    const adapters = adaptersIn(await encode(await open({ learningRate: 0.01 })));
    const { tokenizer } = decoder;
    const options = {
      question: 'When does the hut open?',
      passages: passages.map((text) => ({ text })),
      tokenizer,
      virtualTokens: { data: new Float32Array(2 * decoder.embeddings.hiddenSize).fill(0.1), count: 2 },
      adapters: { passages: mergeAdapters(adapters), unrelated: adapters[1]! },
    };
    const prompts = parseVariants('no-rag,baseline,icl,prag,prag+rag,placebo,spring:2+prag').map(
      (id) => buildVariant(id, options).decoderPrompt,
    );
    const settings = { maxNewTokens: 8, ignoreEos: true };
    const answer = async (some: typeof prompts): Promise<number[][]> => {
      const answers: number[][] = [];
      for await (const event of decoder.compare(some, settings)) {
        if (event.type === 'done') answers[event.index] = event.generation.tokenIds;
      }
      return answers;
    };
    const together = await answer(prompts);
    const alone: number[][] = [];
    for (const prompt of prompts) alone.push(...(await answer([prompt])));
    assert.deepEqual(together, alone);
    assert.notDeepEqual(together[3], together[5]);
  });

  it('a warm-up that was interrupted twice ends as one in one piece', async () => {
    const examples = Array.from({ length: 9 }, (_, n) => ({
      question: `What is number ${n}?`,
      answer: `It is ${n}`,
    }));
    const session = await openLoraTraining(decoder.checkpoint);
    const start = initialAdapter(decoder.checkpoint.config, authorsRecipe);
    const run = async (
      stateFolder: string,
      stopAt?: number,
    ): Promise<{ training: LoraTraining; seen: WarmUpProgress[] }> => {
      const training = new LoraTraining(session, decoder.embeddings, start, authorsRecipe);
      const controller = new AbortController();
      const options = { tokenizer: decoder.tokenizer, seed: 5, maximumLength: 512, stateFolder };
      const seen: WarmUpProgress[] = [];
      try {
        for await (const progress of warmUp(training, examples, { ...options, signal: controller.signal })) {
          seen.push(progress);
          if (progress.step === stopAt) controller.abort();
        }
      } catch (error) {
        if (!(error instanceof CancelledError)) throw error;
      }
      return { training, seen };
    };
    const whole = await run(join(folder, 'whole'));
    const parts = join(folder, 'parts');
    await run(parts, 2);
    const middle = await run(parts, 6);
    assert.deepEqual(
      middle.seen.map(({ step }) => step),
      [2, 3, 4, 5, 6],
    );
    const { training } = await run(parts);
    assert.equal(training.adapter().id, whole.training.adapter().id);
    assert.notEqual(training.adapter().id, start.id);
    assert.deepEqual(await readdir(parts), []);
    await run(parts, 1);
    examples.pop();
    await assert.rejects(run(parts), UserError);
    await session.dispose();
  });
});

describe('the start of training', () => {
  it("is PEFT's: A uniform in ±1/sqrt(in), B zero, the same for the same seed", async () => {
    const { config } = await openCheckpoint(demoFolder);
    const start = initialAdapter(config, { rank: 4, loraAlpha: 32, seed: 3 });
    assert.equal(start.pairs.size, 3 * config.numLayers);
    for (const { a, b, inFeatures, scaling } of start.pairs.values()) {
      assert.equal(scaling, 8);
      assert.ok(b.every((value) => value === 0));
      const bound = 1 / Math.sqrt(inFeatures);
      assert.ok(a.every((value) => Math.abs(value) <= bound));
      const meanSquare = a.reduce((sum, value) => sum + value * value, 0) / a.length;
      assert.ok(Math.abs(meanSquare / (bound ** 2 / 3) - 1) < 0.15); // the variance of a uniform distribution
    }
    assert.equal(initialAdapter(config, { rank: 4, loraAlpha: 32, seed: 3 }).id, start.id);
    assert.notEqual(initialAdapter(config, { rank: 4, loraAlpha: 32, seed: 4 }).id, start.id);
  });

  it('models are told apart by their weights', async () => {
    const checkpoint = await openCheckpoint(demoFolder);
    const key = await modelKey(checkpoint);
    const tensors = new Map(checkpoint.tensors);
    const [name, location] = [...tensors].find(([tensor]) => tensor.endsWith('0.mlp.up_proj.weight'))!;
    tensors.set(name, { ...location, offset: location.offset + 2 });
    assert.notEqual(await modelKey({ ...checkpoint, tensors }), key);
    assert.equal(await modelKey(checkpoint), key);
  });

  it('recipes that make no sense are refused', () => {
    for (const wrong of [{ rank: 0 }, { rank: 1.5 }, { epochs: 0 }, { learningRate: NaN }]) {
      assert.throws(() => makeRecipe(wrong), UserError);
    }
    assert.deepEqual(makeRecipe({ rank: undefined }), authorsRecipe);
  });
});
