/** `spring encode`: passages become adapters; or the start of all adapters is warmed up. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { readJsonText } from '../../checkpoint/textFile.ts';
import { openCheckpoint } from '../../checkpoint/checkpoint.ts';
import { readLoraAdapter, writeAdapter } from '../../checkpoint/lora.ts';
import { contextLength } from '../../checkpoint/ropeConfig.ts';
import { readEvaluationData } from '../../evaluation/questions.ts';
import { resolveModel } from '../../hub/resolve.ts';
import { parseAugmentedData } from '../../prag/augmentedData.ts';
import { AdapterStore, defaultStoreFolder } from '../../prag/adapterStore.ts';
import { openLoraTraining } from '../../prag/encode.ts';
import { initialAdapter } from '../../prag/initialAdapter.ts';
import { LoraTraining } from '../../prag/loraTraining.ts';
import { describeProgress, openPassageEncoder, readFewShotFile } from '../../prag/passageAdapters.ts';
import { makeRecipe } from '../../prag/recipe.ts';
import { warmUp } from '../../prag/warmUp.ts';
import { CancelledError, UserError } from '../../protocol/errors.ts';
import { visible } from '../../protocol/visible.ts';
import { addModelOptions, count, interruptSignal, type ModelOptions } from '../options.ts';
import { readPassagesFile } from '../passages.ts';
import { addPragOptions, readPragOptions, type PragCommandOptions } from '../pragOptions.ts';
import { openDecoder } from '../openDecoder.ts';
import type { RegisterCommand } from '../command.ts';

interface EncodeOptions extends ModelOptions, PragCommandOptions {
  passages?: string;
  warmUp?: string;
  limit?: number;
  out?: string;
  list?: boolean;
  json?: boolean;
}

export const registerEncode: RegisterCommand = (program) => {
  const command = program
    .command('encode')
    .description('train one LoRA adapter per passage (Parametric RAG), kept for later questions')
    .option('--passages <file>', 'a JSON file of passages (default: those of --augmented)')
    .option('--warm-up <file>', 'instead: train the start of all adapters on these questions, into --out')
    .option('--limit <n>', 'only the first passages or questions', count)
    .option('--out <folder>', 'also write the adapters there, one PEFT folder each: passage-1, passage-2, …')
    .option('--list', 'instead: show the adapters that are kept')
    .option('--json', 'print one JSON document');
  addPragOptions(addModelOptions(command)).action((options: EncodeOptions) => {
    if (options.list) return list(options);
    return options.warmUp === undefined ? encode(options) : runWarmUp(options, options.warmUp);
  });
};

async function encode(options: EncodeOptions): Promise<void> {
  const signal = interruptSignal();
  const prag = readPragOptions(options);
  const passages = (await readPassages(options)).slice(0, options.limit);
  const { device, precision, model } = options;
  const decoder = await openDecoder(model, await resolveModel(model), { device, precision, signal });
  const results: object[] = [];
  try {
    const fewShot = await readFewShotFile(prag.fewShotFile);
    const encoder = await openPassageEncoder(decoder, model, prag, fewShot);
    const loraAlpha = makeRecipe(prag.recipe ?? {}).loraAlpha;
    try {
      let startedAt = performance.now();
      for await (const progress of encoder.encode(passages, signal)) {
        const { type, index, passage } = progress;
        if (type === 'augmenting' || type === 'step') continue;
        const seconds = (performance.now() - startedAt) / 1000;
        startedAt = performance.now();
        process.stderr.write(`${describeProgress(progress)} (${seconds.toFixed(2)} s)\n`);
        if (type === 'failed') {
          results.push({ index: index + 1, passage, failed: progress.reason });
          continue;
        }
        const { adapter, losses, fromStore } = progress;
        let { folder } = progress;
        if (options.out !== undefined) {
          folder = join(options.out, `passage-${index + 1}`);
          await writeAdapter(folder, adapter, { baseModel: model, loraAlpha });
        }
        results.push({ index: index + 1, passage, folder, losses, fromStore, seconds });
      }
    } finally {
      await encoder.dispose();
    }
  } finally {
    await decoder.dispose();
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ model, adapters: results }, null, 2)}\n`);
}

async function readPassages({ passages, augmented }: EncodeOptions): Promise<string[]> {
  if (passages !== undefined) return (await readPassagesFile(passages)).map(({ text }) => text);
  if (augmented === undefined) {
    throw new UserError('Which passages? Give --passages FILE.json or --augmented FILE.json.');
  }
  const questions = parseAugmentedData(await readJsonText(augmented), augmented);
  return [...new Set(questions.flatMap((question) => question.augmented.map(({ passage }) => passage)))];
}

async function runWarmUp(options: EncodeOptions, file: string): Promise<void> {
  const signal = interruptSignal();
  const { out, model } = options;
  if (out === undefined) throw new UserError('Where should the warmed-up start go? Give --out FOLDER.');
  const items = (await readEvaluationData(file)).items.slice(0, options.limit);
  const prag = readPragOptions(options);
  const recipe = makeRecipe(prag.recipe ?? {});
  const folder = await resolveModel(model);
  const decoder = await openDecoder(model, folder, {
    device: options.device,
    precision: options.precision,
    signal,
  });
  const { checkpoint, tokenizer, embeddings } = decoder;
  const session = await openLoraTraining(checkpoint, { signal });
  const losses: number[] = [];
  try {
    const start = prag.startFolder
      ? await readLoraAdapter(prag.startFolder, checkpoint.config)
      : initialAdapter(checkpoint.config, recipe);
    const training = new LoraTraining(session, embeddings, start, recipe);
    const examples = items.map(({ question, goldAnswers }) => ({ question, answer: goldAnswers[0]! }));
    const progress = warmUp(training, examples, {
      tokenizer,
      seed: recipe.seed,
      maximumLength: Math.min(recipe.maximumLength, contextLength(checkpoint.config)),
      stateFolder: join(out, `state-${createHash('sha256').update(folder).digest('hex').slice(0, 8)}`),
      signal,
    });
    try {
      for await (const { step, steps, loss } of progress) {
        if (!Number.isNaN(loss)) losses.push(loss);
        if (step % 50 === 0 || step === steps) {
          process.stderr.write(`Step ${step} of ${steps}, loss ${loss.toFixed(3)}\n`);
        }
      }
    } catch (error) {
      if (!(error instanceof CancelledError)) throw error;
      throw new UserError(`Cancelled after ${losses.length} steps; the same command goes on.`);
    }
    await writeAdapter(out, training.adapter(), { baseModel: model, loraAlpha: recipe.loraAlpha });
  } finally {
    await session.dispose();
    await decoder.dispose();
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ model, folder: out, losses }, null, 2)}\n`);
}

async function list(options: EncodeOptions): Promise<void> {
  const checkpoint = await openCheckpoint(await resolveModel(options.model));
  const store = new AdapterStore(options.adapters ?? defaultStoreFolder());
  const stored = (await store.list()).filter(({ model }) => model === options.model);
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ folder: store.folder, adapters: stored }, null, 2)}\n`);
    return;
  }
  const bytes = stored.reduce((sum, adapter) => sum + adapter.bytes, 0);
  for (const { passage, bytes: size, losses, lastUsed } of stored) {
    const last = losses.at(-1)?.toFixed(2) ?? '-';
    const day = lastUsed.toISOString().slice(0, 16).replace('T', ' ');
    const start = visible(passage.replaceAll(/\s+/g, ' ').slice(0, 60));
    process.stdout.write(`${day}  ${(size / 1024).toFixed(0).padStart(7)} KiB  loss ${last}  ${start}\n`);
  }
  process.stdout.write(
    `${stored.length} adapters of ${checkpoint.config.architecture} ${options.model}, ${(bytes / 1024 ** 2).toFixed(1)} MiB in ${store.folder}\n`,
  );
}
