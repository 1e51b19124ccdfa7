/**
 * A prompt's answer has the same bits in any company: alone or beside others, in any order, behind passages that were
 * prefilled for an earlier question, however its positions fall into passes. Companies are drawn at random, by a fixed
 * seed, and ids and log probabilities are compared exactly.
 */
import assert from 'node:assert/strict';
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { tokenizerJson } from '../../bench/checkpoints.ts';
import { loraTargets } from '../../src/checkpoint/layers.ts';
import type { Checkpoint, LoraAdapter } from '../../src/checkpoint/types.ts';
import { Decoder } from '../../src/decoder/decoder.ts';
import type { Precision, Prompt } from '../../src/decoder/types.ts';
import { randomCheckpoint, randomTensor } from '../support/randomCheckpoint.ts';

const vocabSize = 300;
const newTokens = 9;
const common = { vocab_size: vocabSize, max_position_embeddings: 1024 };

const models: Record<string, Record<string, unknown>> = {
  'grouped heads': common,
  'a key head for each query head, of an odd size': { ...common, num_key_value_heads: 6, head_dim: 20 },
  'layers with and without a window': {
    ...common,
    architecture: 'Qwen2ForCausalLM',
    use_sliding_window: true,
    sliding_window: 75,
    max_window_layers: 1,
  },
  'one wide key head, two rotations, windows': {
    ...common,
    architecture: 'Gemma3ForCausalLM',
    num_attention_heads: 3,
    num_key_value_heads: 1,
    head_dim: 256,
    sliding_window: 130,
    sliding_window_pattern: 2,
    hidden_act: undefined,
    hidden_activation: 'gelu_pytorch_tanh',
    query_pre_attn_scalar: 256,
    rope_local_base_freq: 10000,
  },
};

describe('a prompt has the same bits in any company', () => {
  for (const [name, shape] of Object.entries(models)) {
    for (const precision of ['f32', 'int8', 'int4'] as const) {
      it(`${name}, ${precision}`, async function () {
        this.timeout(300_000);
        await withDecoders(shape, precision, async (open, checkpoint) => {
          const random = generator(1);
          const prompts = drawPrompts(checkpoint, random);
          const alone = await answersAlone(open, prompts);
          assert.ok(
            new Set(alone.map(String)).size > prompts.length / 2,
            'the prompts have answers of their own',
          );
          const decoder = await open();
          for (let round = 0; round < 12; round++) {
            const size = 1 + random(round % 3 === 0 ? 3 : prompts.length);
            const company = shuffled([...prompts.keys()], random).slice(0, size);
            const answers = await answersOf(
              decoder,
              company.map((index) => prompts[index]!),
            );
            for (const [place, index] of company.entries()) {
              assert.deepEqual(
                answers[place],
                alone[index],
                `round ${round}: prompt ${index} of ${company.join()}`,
              );
            }
          }
          await decoder.dispose();
        });
      });
    }
  }

  for (const precision of ['f32', 'int4'] as const) {
    it(`with adapters of several ranks beside it, ${precision}`, async function () {
      this.timeout(300_000);
      await withDecoders(common, precision, async (open, checkpoint) => {
        const random = generator(2);
        const adapters = [undefined, ...[2, 16, 40].map((rank) => randomAdapter(checkpoint, rank))];
        const prompts = drawPrompts(checkpoint, random)
          .slice(0, 12)
          .map((prompt, index) => ({ ...prompt, adapter: adapters[index % adapters.length] }));
        const alone = await answersAlone(open, prompts);
        const decoder = await open();
        for (let round = 0; round < 8; round++) {
          const company = shuffled([...prompts.keys()], random).slice(0, 1 + random(prompts.length));
          const answers = await answersOf(
            decoder,
            company.map((index) => prompts[index]!),
          );
          for (const [place, index] of company.entries()) {
            assert.deepEqual(
              answers[place],
              alone[index],
              `round ${round}: prompt ${index} of ${company.join()}`,
            );
          }
        }
        await decoder.dispose();
      });
    });
  }
});

/** Questions on passages of many lengths, some behind the same instruction, each in several variants. */
function drawPrompts({ config }: Checkpoint, random: (below: number) => number): Prompt[] {
  const tokens = (count: number): { tokenIds: number[] } => ({
    tokenIds: Array.from({ length: count }, () => 3 + random(vocabSize - 3)),
  });
  const virtual = (count: number): Prompt['parts'][number] => ({
    rows: { data: randomTensor(count * config.hiddenSize, 77).map((x) => 0.3 * x), count },
  });
  const instruction = tokens(90);
  // a passage's end on both sides of a block's, and of a pass'
  return [1, 38, 63, 64, 127, 128, 200].flatMap((length, question) => {
    const passages = tokens(length);
    const tail = tokens(1 + random(30));
    const start = question % 2 === 0 ? [instruction] : [];
    return [0, 1, 10, 30].slice(0, 2 + (question % 3)).map((count) => ({
      parts: [...start, passages, ...(count > 0 ? [virtual(count)] : []), tail],
    }));
  });
}

type Answer = readonly (readonly [tokenId: number, logProbability: number])[];

async function answersAlone(open: () => Promise<Decoder>, prompts: readonly Prompt[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const prompt of prompts) {
    const decoder = await open();
    answers.push((await answersOf(decoder, [prompt]))[0]!);
    await decoder.dispose();
  }
  return answers;
}

async function answersOf(decoder: Decoder, prompts: readonly Prompt[]): Promise<Answer[]> {
  const answers = prompts.map((): [number, number][] => []);
  for await (const event of decoder.compare(prompts, { maxNewTokens: newTokens, ignoreEos: true })) {
    if (event.type === 'token') answers[event.index]!.push([event.token.tokenId, event.token.logProbability]);
  }
  for (const answer of answers) assert.equal(answer.length, newTokens);
  return answers;
}

async function withDecoders(
  shape: Record<string, unknown>,
  precision: Precision,
  use: (open: () => Promise<Decoder>, checkpoint: Checkpoint) => Promise<void>,
): Promise<void> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'companies-')));
  try {
    const checkpoint = await randomCheckpoint(folder, shape);
    await writeFile(join(folder, 'tokenizer.json'), tokenizerJson(vocabSize));
    await writeFile(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast', clean_up_tokenization_spaces: false }),
    );
    const quantizedFolder = join(folder, 'quantized');
    await use(() => Decoder.open(folder, { device: 'cpu', precision, quantizedFolder }), checkpoint);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function randomAdapter({ config }: Checkpoint, rank: number): LoraAdapter {
  const pairs = loraTargets(config).map(({ key, inFeatures, outFeatures }, seed) => {
    const a = randomTensor(rank * inFeatures, seed).map((x) => 0.2 * x);
    const b = randomTensor(outFeatures * rank, seed + 100).map((x) => 0.2 * x);
    return [key, { a, b, rank, inFeatures, outFeatures, scaling: 0.5 }] as const;
  });
  return { id: `rank ${rank}`, pairs: new Map(pairs) };
}

/** Draws whole numbers from 0 to below a bound. */
function generator(seed: number): (below: number) => number {
  const random = xoroshiro128plus(seed);
  return (below) => (random.next() >>> 0) % below;
}

function shuffled<T>(items: T[], random: (below: number) => number): T[] {
  for (let end = items.length; end > 1; end--) {
    const other = random(end);
    [items[end - 1], items[other]] = [items[other]!, items[end - 1]!];
  }
  return items;
}
