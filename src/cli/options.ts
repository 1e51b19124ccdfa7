/** Options that several commands share, and how their values are read. A value that is none is a usage error. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import {
  deviceChoices,
  precisionChoices,
  type DeviceChoice,
  type PrecisionChoice,
} from '../protocol/comparison.ts';

export interface ModelOptions {
  model: string;
  device: DeviceChoice;
  precision: PrecisionChoice;
}

/** --model, --device, --precision */
export function addModelOptions(command: Command): Command {
  return command
    .option('--model <name>', 'checkpoint folder, GGUF file, a name from `spring models`, or demo', 'demo')
    .addOption(new Option('--device <device>', 'where the model runs').choices(deviceChoices).default('auto'))
    .addOption(
      new Option('--precision <precision>', 'number format of the weights')
        .choices(precisionChoices)
        .default('auto'),
    );
}

export interface SamplingOptions {
  maxNewTokens: number;
  temperature: number;
  topP: number;
  topK: number;
  repetitionPenalty: number;
  seed: number;
  stop?: string[];
}

/** --max-new-tokens and how tokens are chosen */
export function addSamplingOptions(command: Command): Command {
  return command
    .option('--max-new-tokens <n>', 'length of an answer at most', count, 50)
    .option('--temperature <x>', '0 takes the likeliest token', number, 0)
    .option('--top-p <x>', 'sample from the likeliest tokens of this probability', number, 1)
    .option('--top-k <n>', 'sample from this many likeliest tokens (0: all)', count, 0)
    .option('--repetition-penalty <x>', 'above 1 discourages repetition', number, 1)
    .option('--seed <n>', 'of the sampling', count, 0)
    .option('--stop <text...>', 'end the answer before this text');
}

/** A whole number, 0 or more. */
export function count(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Expected a whole number, 0 or more.');
  return Number(text);
}

/** Different whole numbers with commas between, such as `1,10,50`. */
export function counts(text: string): number[] {
  const parts = text.split(',').map((part) => part.trim());
  if (!parts.every((part) => /^\d+$/.test(part))) {
    throw new InvalidArgumentError('Expected whole numbers with commas between, such as 1,10,50.');
  }
  return [...new Set(parts.map(Number))];
}

/** A finite number, 0 or more. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError('Expected a number, 0 or more.');
  }
  return value;
}

/** An AbortSignal that fires at the first Ctrl+C; the second ends the process. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  return controller.signal;
}
