/** Options of Parametric RAG that several commands share. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { PragOptions } from '../protocol/comparison.ts';
import { UserError } from '../protocol/errors.ts';
import { count, number } from './options.ts';

export interface PragCommandOptions {
  adapters?: string;
  adaptersSize?: number;
  start?: string;
  augmented?: string;
  endpoint?: string;
  endpointModel?: string;
  fewShot?: string;
  rank?: number;
  loraAlpha?: number;
  loraLearningRate?: number;
  loraWeightDecay?: number;
  loraEpochs?: number;
  labels?: 'all' | 'answer';
  loraSeed?: number;
}

/** Where an endpoint's key is taken from: never from the command line, which other users of the machine can read. */
const keyVariable = 'SPRING_API_KEY';

/** How passages become adapters. */
export function addPragOptions(command: Command): Command {
  return addEndpointOptions(command)
    .option('--adapters <folder>', 'where trained adapters are kept (default: the user’s cache folder)')
    .option(
      '--adapters-size <GB>',
      'size of that folder at most; the least recently used go first',
      gigabytes,
    )
    .option('--start <folder>', 'PEFT adapter that training starts from (default: random, seeded)')
    .option('--augmented <file>', 'augmented passages in the format of PRAG’s authors')
    .option(
      '--few-shot <file>',
      'examples of reasoning, a JSON list of {question, answer}: asks step by step',
    )
    .option('--rank <n>', 'rank of the adapters (default: 2)', count)
    .option('--lora-alpha <x>', 'their update is scaled by alpha / rank (default: 32)', number)
    .option('--lora-learning-rate <x>', 'of AdamW (default: 3e-4)', number)
    .option('--lora-weight-decay <x>', 'of AdamW (default: 0.01)', number)
    .option('--lora-epochs <n>', 'passes over a passage’s sequences (default: 1)', count)
    .option('--lora-seed <n>', 'of the random start (default: 42)', count)
    .addOption(
      new Option('--labels <which>', 'tokens that are learnt (default: all)').choices(['all', 'answer']),
    );
}

/** Who writes rewrites and questions. */
export function addEndpointOptions(command: Command): Command {
  return command
    .option('--endpoint <url>', `OpenAI-compatible server that augments passages; its key in ${keyVariable}`)
    .option('--endpoint-model <name>', 'name of the model there');
}

/**
 * What the options say.
 * @throws UserError for an endpoint without a model
 */
export function readPragOptions(options: PragCommandOptions): PragOptions {
  return {
    storeFolder: options.adapters,
    storeBytes: options.adaptersSize,
    startFolder: options.start,
    augmentedFile: options.augmented,
    endpoint: readEndpoint(options),
    fewShotFile: options.fewShot,
    recipe: {
      rank: options.rank,
      loraAlpha: options.loraAlpha,
      learningRate: options.loraLearningRate,
      weightDecay: options.loraWeightDecay,
      epochs: options.loraEpochs,
      labels: options.labels,
      seed: options.loraSeed,
    },
  };
}

function readEndpoint({ endpoint, endpointModel }: PragCommandOptions): PragOptions['endpoint'] {
  if (endpoint === undefined) return undefined;
  if (endpointModel === undefined)
    throw new UserError('Name the model of the endpoint with --endpoint-model.');
  return { url: endpoint, model: endpointModel, apiKey: process.env[keyVariable] };
}

function gigabytes(text: string): number {
  const value = number(text);
  if (value === 0) throw new InvalidArgumentError('Expected more than 0.');
  return value * 1024 ** 3;
}
