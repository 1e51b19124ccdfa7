/** `spring train`: trains virtual tokens for a model. */
import { Option } from 'commander';
import { access, constants } from 'node:fs/promises';
import { dirname, extname, resolve } from 'node:path';
import { contextLength } from '../../checkpoint/ropeConfig.ts';
import { readVirtualTokens } from '../../checkpoint/virtualTokens.ts';
import { exactMatch } from '../../evaluation/metrics.ts';
import { backboneMetadata } from '../../hub/backboneMetadata.ts';
import { resolveModel, resolveTokenFile } from '../../hub/resolve.ts';
import { CancelledError, UserError } from '../../protocol/errors.ts';
import type { TrainingEvent, TrainingSettings } from '../../protocol/training.ts';
import { readTrainingData, type TrainingItem } from '../../spring/training/data.ts';
import type { Initialisation } from '../../spring/training/initialRows.ts';
import { logged } from '../../spring/training/log.ts';
import { holdOut } from '../../spring/training/holdOut.ts';
import { defaultTrainingSettings as defaults } from '../../spring/training/settings.ts';
import { trainVirtualTokens } from '../../spring/training/trainer.ts';
import { count, interruptSignal, number } from '../options.ts';
import { describeEvent, summarise } from '../trainingReport.ts';
import { openDecoder } from '../openDecoder.ts';
import type { RegisterCommand } from '../command.ts';

interface TrainOptions {
  model: string;
  data: string;
  out: string;
  numTokens?: number;
  fixedK?: number;
  init: string;
  steps?: number;
  epochs?: number;
  learningRate: number;
  batchSize: number;
  weightDecay: number;
  warmupRatio?: number;
  schedule: TrainingSettings['schedule'];
  maxGradNorm?: number;
  seed: number;
  passages: TrainingSettings['passages'];
  chatTemplate?: boolean;
  maxLength?: number;
  validation?: string;
  validationShare: number;
  validateEvery: number;
  patience?: number;
  exactMatchK: number[];
  saveEvery: number;
  resume?: boolean;
  log?: string;
  differentiate: TrainingSettings['differentiate'];
  microBatch: number;
  cacheMegabytes: number;
  json?: boolean;
}

const megabyte = 1024 ** 2;

export const registerTrain: RegisterCommand = (program) => {
  program
    .command('train')
    .description('train virtual tokens for a model; the model itself does not change')
    .option('--model <name>', 'checkpoint folder, GGUF file, a name from `spring models`, or demo', 'demo')
    .requiredOption('--data <file>', 'examples, one JSON object per line (see docs/training.md)')
    .requiredOption('--out <file>', 'where the tokens go: .pt or .safetensors')
    .option(
      '--num-tokens <n>',
      'virtual tokens to train (default: 50, or as many as the --init file has)',
      count,
    )
    .option(
      '--fixed-k <n>',
      'train with this many in every step (default: drawn from 1 to all of them)',
      count,
    )
    .option(
      '--init <what>',
      'start from: text (the instruction), random, or a file of virtual tokens',
      'text',
    )
    .option('--steps <n>', 'optimizer steps', count)
    .option('--epochs <n>', 'passes over the data, instead of --steps (default: 3)', number)
    .option('--learning-rate <x>', 'highest learning rate', number, defaults.learningRate)
    .option('--batch-size <n>', 'examples per step', count, defaults.batchSize)
    .option('--weight-decay <x>', 'of AdamW', number, defaults.weightDecay)
    .option('--warmup-ratio <x>', 'share of the steps (default: 0.1; 0 with a constant schedule)', number)
    .addOption(
      new Option('--schedule <name>', 'learning rate after the warm-up')
        .choices(['linear', 'constant'])
        .default(defaults.schedule),
    )
    .option('--max-grad-norm <x>', 'scale gradients down to this norm (default: no clipping)', number)
    .option('--seed <n>', 'of order, k, passages and random start', count, defaults.seed)
    .addOption(
      new Option(
        '--passages <how>',
        'sample: 1 to 5, shuffled, once per example; resample: in every epoch; all',
      )
        .choices(['sample', 'resample', 'all'])
        .default(defaults.passages),
    )
    .option(
      '--chat-template',
      'train within the chat template of the model; the file is then asked within it, too',
    )
    .option('--max-length <n>', 'tokens of a sequence; longer passages lose their beginning', count)
    .option('--validation <file>', 'examples to validate on; the best tokens are kept')
    .option(
      '--validation-share <x>',
      'validate on this share of the data instead of training on it',
      number,
      0,
    )
    .option('--validate-every <n>', 'steps between validations', count, defaults.validateEvery)
    .option('--patience <n>', 'stop after this many validations without a lower loss', count)
    .option(
      '--exact-match-k <list>',
      'also answer the validation questions with these k, such as 1,10,50',
      kList,
      [],
    )
    .option('--save-every <n>', 'steps between saved states', count, defaults.saveEvery)
    .option('--resume', 'go on from the state that an interrupted run left beside --out')
    .option('--log <file>', 'write every event as a line of JSON')
    .addOption(
      new Option('--differentiate <what>', 'tail: what follows the passages (faster, same result); all')
        .choices(['tail', 'all'])
        .default(defaults.differentiate),
    )
    .option(
      '--micro-batch <n>',
      'positions that go through the model at once',
      count,
      defaults.microBatchPositions,
    )
    .option(
      '--cache-megabytes <n>',
      'memory for prefilled passages',
      count,
      defaults.passageCacheBytes / megabyte,
    )
    .option('--json', 'print one JSON document')
    .action((options: TrainOptions) => train(options));
};

async function train(options: TrainOptions): Promise<void> {
  const signal = interruptSignal();
  const start = performance.now();
  await checkOutput(options.out);
  const data = await readTrainingData(options.data);
  if (data.leftOut > 0) process.stderr.write(`Left out, because they have no answer: ${data.leftOut}.\n`);
  const { items, validationItems } = await split(data.items, options);
  const folder = await resolveModel(options.model);
  const decoder = await openDecoder(options.model, folder, { device: 'cpu', precision: 'f32', signal });
  try {
    const { config } = decoder.checkpoint;
    const { initialisation, rows } = await readStart(options, config.hiddenSize);
    const settings = settingsOf(options, rows, items.length, contextLength(config));
    const events = trainVirtualTokens(
      {
        decoder,
        items,
        validationItems,
        settings,
        initialisation,
        path: options.out,
        metadata: { ...(await backboneMetadata(options.model, folder)), dataSha256: data.sha256 },
        resume: options.resume ?? false,
        scoreAnswer: exactMatch,
      },
      signal,
    );
    const seen: TrainingEvent[] = [];
    for await (const event of options.log ? logged(events, options.log) : events) {
      if (event.type !== 'saved') seen.push(event);
      const line = describeEvent(event, settings);
      if (line) process.stderr.write(`${line}\n`);
    }
    if (options.json) {
      const seconds = (performance.now() - start) / 1000;
      const summary = await summarise(seen, options, seconds);
      process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
    }
  } catch (error) {
    if (!(error instanceof CancelledError)) throw error;
    process.stderr.write('Paused. Go on with the same command and --resume.\n');
    process.exitCode = 130;
  } finally {
    await decoder.dispose();
  }
}

/** Finds out before training that its result cannot be written. */
async function checkOutput(out: string): Promise<void> {
  if (!['.pt', '.bin', '.safetensors'].includes(extname(out))) {
    throw new UserError(
      `--out ${out}: virtual tokens are written as .pt or .safetensors; choose one of these.`,
    );
  }
  const folder = dirname(resolve(out));
  await access(folder, constants.W_OK).catch(() => {
    throw new UserError(`--out ${out}: the folder ${folder} does not exist or cannot be written to.`);
  });
}

async function split(
  items: readonly TrainingItem[],
  { validation, validationShare, seed }: TrainOptions,
): Promise<{ items: TrainingItem[]; validationItems: TrainingItem[] }> {
  if (validation !== undefined) {
    const { items: validationItems } = await readTrainingData(validation);
    return { items: [...items], validationItems };
  }
  if (validationShare >= 1)
    throw new UserError('--validation-share leaves nothing to train on; give less than 1.');
  return holdOut(items, validationShare, seed);
}

/** Where the tokens start from, and how many rows a file has. */
async function readStart(
  { init }: TrainOptions,
  hiddenSize: number,
): Promise<{ initialisation: Initialisation; rows?: number }> {
  if (init === 'text' || init === 'random') return { initialisation: { from: init } };
  const path = await resolveTokenFile(init);
  const { count: rows } = await readVirtualTokens(path, { hiddenSize });
  return { initialisation: { from: 'file', path }, rows };
}

function settingsOf(
  options: TrainOptions,
  rows: number | undefined,
  examples: number,
  contextLength: number,
): TrainingSettings {
  if (options.steps !== undefined && options.epochs !== undefined) {
    throw new UserError('Give the length of the training by either --steps or --epochs.');
  }
  const steps =
    options.steps ?? Math.ceil(((options.epochs ?? 3) * examples) / Math.max(1, options.batchSize));
  return {
    numTokens: options.numTokens ?? rows ?? defaults.numTokens,
    fixedK: options.fixedK ?? null,
    batchSize: options.batchSize,
    steps,
    learningRate: options.learningRate,
    weightDecay: options.weightDecay,
    warmupRatio: options.warmupRatio ?? (options.schedule === 'constant' ? 0 : defaults.warmupRatio),
    schedule: options.schedule,
    maxGradientNorm: options.maxGradNorm ?? null,
    seed: options.seed,
    passages: options.passages,
    maxLength: options.maxLength ?? contextLength,
    microBatchPositions: options.microBatch,
    passageCacheBytes: options.cacheMegabytes * megabyte,
    differentiate: options.differentiate,
    validateEvery: options.validateEvery,
    patience: options.patience ?? null,
    exactMatchK: options.exactMatchK,
    saveEvery: options.saveEvery,
    ...(options.chatTemplate && { promptForm: 'chat-template' }),
  };
}

function kList(text: string): number[] {
  return text.split(',').map((part) => count(part.trim()));
}
