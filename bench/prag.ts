/**
 * What Parametric RAG costs on the shape of SmolLM2-135M (random weights, the real tokenizer): encoding a passage,
 * merging three adapters, and a comparison of five variants over one answer.
 *
 *     node bench/prag.ts [passages] [answer tokens]
 */
import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, readFile, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { LoraAdapter } from '../src/checkpoint/types.ts';
import { Decoder } from '../src/decoder/decoder.ts';
import type { Prompt } from '../src/decoder/types.ts';
import { parseVariants } from '../src/methods/chooseVariants.ts';
import { buildVariant } from '../src/methods/prepare.ts';
import { AdapterStore } from '../src/prag/adapterStore.ts';
import type { AugmentedPassage } from '../src/prag/augmentedData.ts';
import { preparedAugmenter } from '../src/prag/augmenter.ts';
import { PassageEncoder } from '../src/prag/encode.ts';
import { encoderModel, mergeAdapters } from '../src/prag/passageAdapters.ts';
import { authorsRecipe } from '../src/prag/recipe.ts';
import { trainingSequences } from '../src/prag/trainingSequences.ts';
import { writeRandomCheckpoint } from './checkpoints.ts';
import { answers, median } from './measure.ts';

const shape = 'smollm2-135m';
const [passageCount = 4, answerTokens = 32] = process.argv.slice(2).map(Number);
const shared = resolve(import.meta.dirname, '../../shared/data');
const folder = join(await realpath(tmpdir()), `prag-bench-${shape}`);
if (!existsSync(join(folder, 'model.safetensors'))) await writeRandomCheckpoint(folder, shape);
for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
  await copyFile(join(shared, 'tokenizers/smollm', name), join(folder, name));
}

const augmented = await wikipediaPassages(passageCount);
const decoder = await Decoder.open(folder, { device: 'cpu' });
const storeFolder = await mkdtemp(join(tmpdir(), 'prag-store-'));
try {
  const adapters = await measureEncoding();
  measureMerging(adapters.slice(0, 3));
  await measureComparison(adapters.slice(0, 3), adapters.at(-1)!);
} finally {
  await decoder.dispose();
  await rm(storeFolder, { recursive: true });
}

async function measureEncoding(): Promise<LoraAdapter[]> {
  const encoder = await PassageEncoder.open(encoderModel(decoder, shape), {
    store: new AdapterStore(storeFolder),
    augmenter: preparedAugmenter([{ augmented }]),
    recipe: authorsRecipe,
  });
  const lengths = augmented.flatMap((passage) =>
    trainingSequences(decoder.tokenizer, passage, authorsRecipe).map(({ tokenIds }) => tokenIds.length),
  );
  const adapters: LoraAdapter[] = [];
  const seconds: number[] = [];
  let bytes = 0;
  let start = performance.now();
  // of the processor: steadier than time on a machine that does other things, too
  const cpuBefore = process.cpuUsage();
  for await (const progress of encoder.encode(augmented.map(({ passage }) => passage))) {
    if (progress.type !== 'encoded') continue;
    adapters.push(progress.adapter);
    seconds.push((performance.now() - start) / 1000);
    start = performance.now();
    bytes = (await stat(join(progress.folder, 'adapter_model.safetensors'))).size;
  }
  await encoder.dispose();
  const { user, system } = process.cpuUsage(cpuBefore);
  const tokens = lengths.reduce((a, b) => a + b, 0) / augmented.length;
  // the first one loads the training graph
  print('encoding', {
    'sequences per passage': lengths.length / augmented.length,
    'tokens per passage': Math.round(tokens),
    'seconds, first': seconds[0]!.toFixed(1),
    'seconds, median of the rest': median(seconds.slice(1)).toFixed(1),
    'processor seconds per passage': ((user + system) / 1e6 / augmented.length).toFixed(1),
    'bytes per passage': bytes,
  });
  await measurePrefill(tokens, median(seconds.slice(1)));
  const again = performance.now();
  const reading = encoder.encode(augmented.slice(0, 3).map(({ passage }) => passage));
  while (!(await reading.next()).done);
  print('reading three stored adapters', { ms: (performance.now() - again).toFixed(1) });
  return adapters;
}

/**
 * Reading the training sequences as prompts, beside training on them: with frozen weights a step needs at least two
 * passes (forward, and the gradient with respect to the activations), four operations per parameter and token.
 */
async function measurePrefill(tokensPerPassage: number, secondsPerPassage: number): Promise<void> {
  const sequences = augmented
    .slice(1)
    .flatMap((passage) =>
      trainingSequences(decoder.tokenizer, passage, authorsRecipe).map(({ tokenIds }) => tokenIds),
    );
  await answer([{ parts: [{ tokenIds: sequences[0]! }] }], 1); // the weights are loaded
  let milliseconds = 0;
  // a first token of its own: what earlier sequences prefilled must not help
  for (const [index, tokenIds] of sequences.entries()) {
    milliseconds += await answer([{ parts: [{ tokenIds: [1000 + index, ...tokenIds.slice(1)] }] }], 1);
  }
  const perPassage = milliseconds / 1000 / (augmented.length - 1);
  const parameters = [...decoder.checkpoint.tensors.values()].reduce(
    (sum, { shape: dims }) => sum + dims.reduce((a, b) => a * b, 1),
    0,
  );
  const operations = 4 * parameters * tokensPerPassage;
  print('training beside reading', {
    'seconds to read the sequences': perPassage.toFixed(2),
    'training over reading': (secondsPerPassage / perPassage).toFixed(2),
    'GFLOP/s of training': (operations / 1e9 / secondsPerPassage).toFixed(0),
  });
}

function measureMerging(adapters: readonly LoraAdapter[]): void {
  const times = Array.from({ length: 5 }, () => {
    const start = performance.now();
    mergeAdapters(adapters);
    return performance.now() - start;
  });
  print('merging three adapters', { ms: median(times).toFixed(1) });
}

async function measureComparison(own: readonly LoraAdapter[], other: LoraAdapter): Promise<void> {
  const count = 50;
  const virtualTokens = { data: new Float32Array(count * decoder.embeddings.hiddenSize).fill(0.01), count };
  const adapters = { passages: mergeAdapters(own), unrelated: other };
  const ids = parseVariants('icl,prag,prag+rag,placebo,spring:50');
  let run = 0;
  // other passages in every run: what earlier runs prefilled must not help
  const build = (): Prompt[] => {
    run++;
    const passages = augmented.slice(0, 3).map(({ passage }) => ({ text: `${run} ${passage}` }));
    const { question } = augmented[0]!.questionAnswers[0]!;
    const options = { question, passages, tokenizer: decoder.tokenizer, virtualTokens, adapters };
    return ids.map((id) => buildVariant(id, options).decoderPrompt);
  };
  const lengths = build().map(({ parts }) =>
    parts.reduce((sum, part) => sum + ('tokenIds' in part ? part.tokenIds.length : part.rows.count), 0),
  );
  print('prompt tokens', Object.fromEntries(ids.map((id, index) => [id, lengths[index]!])));
  await answer(build()); // everything is loaded
  const together: number[] = [];
  const alone: number[][] = ids.map(() => []);
  for (let repeat = 0; repeat < 3; repeat++) {
    together.push(await answer(build()));
    for (const [index, times] of alone.entries()) times.push(await answer([build()[index]!]));
  }
  const medians = alone.map(median);
  print('ms alone', Object.fromEntries(ids.map((id, index) => [id, medians[index]!.toFixed(0)])));
  print('five variants, three adapters', {
    ms: median(together).toFixed(0),
    'of one answer (icl)': (median(together) / medians[0]!).toFixed(2),
    'of one after the other': (median(together) / medians.reduce((a, b) => a + b, 0)).toFixed(2),
  });
}

/** Milliseconds of a comparison. */
async function answer(prompts: readonly Prompt[], newTokens = answerTokens): Promise<number> {
  return 1000 * (await answers(decoder, prompts, newTokens)).seconds;
}

/** Passages of Wikipedia, asked about with questions of the usual length. */
async function wikipediaPassages(count: number): Promise<AugmentedPassage[]> {
  const file = join(shared, 'nq-open/questions-with-passage.jsonl.gz');
  const lines = gunzipSync(await readFile(file))
    .toString('utf8')
    .split('\n')
    .slice(0, count);
  return lines.map((line) => {
    const {
      question,
      answers: gold,
      ctxs,
    } = JSON.parse(line) as {
      question: string;
      answers: string[];
      ctxs: { title: string; text: string }[];
    };
    const { title, text } = ctxs[0]!;
    const pair = { question, answer: gold[0]!, fullAnswer: gold[0]! };
    return {
      passage: `${title}\n${text}`,
      rewrite: `${text}\n${title}`,
      questionAnswers: [pair, pair, pair],
    };
  });
}

function print(what: string, numbers: Record<string, string | number>): void {
  const text = Object.entries(numbers).map(([name, value]) => `${name} ${value}`);
  console.log(`${what}: ${text.join(', ')}`);
}
