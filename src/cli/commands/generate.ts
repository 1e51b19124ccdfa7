/** `spring generate`: continues a prompt as it stands. */
import { readTextFile } from '../../checkpoint/textFile.ts';
import { readLoraAdapter, mergeAdaptersCat } from '../../checkpoint/lora.ts';
import { readVirtualTokens } from '../../checkpoint/virtualTokens.ts';
import { resolveModel, resolveTokenFile } from '../../hub/resolve.ts';
import { UserError } from '../../protocol/errors.ts';
import { tokenizeText } from '../../spring/tokenizePrompt.ts';
import {
  addModelOptions,
  addSamplingOptions,
  count,
  interruptSignal,
  type ModelOptions,
  type SamplingOptions,
} from '../options.ts';
import { dim, printable } from '../terminal.ts';
import { samplingSettings } from './ask.ts';
import { openDecoder } from '../openDecoder.ts';
import type { RegisterCommand } from '../command.ts';

interface GenerateOptions extends ModelOptions, SamplingOptions {
  prompt?: string;
  promptFile?: string;
  tokens?: string;
  lora?: string[];
  ignoreEos?: boolean;
  topLogprobs?: number;
  json?: boolean;
}

export const registerGenerate: RegisterCommand = (program) => {
  const command = program
    .command('generate')
    .description('continue a prompt as it stands (no chat template)')
    .option('--prompt <text>', 'the prompt; with --tokens, [ref1], [ref2]… stand for virtual tokens')
    .option('--prompt-file <file>', 'a text file that holds the prompt')
    .option('--tokens <file>', 'virtual tokens: a .pt or .safetensors file, or a name from `spring models`')
    .option('--lora <folder...>', 'LoRA adapters in the format of PEFT; several are merged ("cat")')
    .option('--ignore-eos', 'go on after an end-of-sequence token')
    .option('--top-logprobs <n>', 'with --json: the likeliest tokens at each place', count, 0)
    .option('--json', 'print one JSON document');
  addSamplingOptions(addModelOptions(command)).action((options: GenerateOptions) => generate(options));
};

async function generate(options: GenerateOptions): Promise<void> {
  const signal = interruptSignal();
  const text = await promptText(options);
  const { device, precision } = options;
  const { model } = options;
  const decoder = await openDecoder(model, await resolveModel(model), { device, precision, signal });
  try {
    const { config } = decoder.checkpoint;
    const rows = options.tokens
      ? await readVirtualTokens(await resolveTokenFile(options.tokens), { hiddenSize: config.hiddenSize })
      : undefined;
    const adapters = await Promise.all((options.lora ?? []).map((folder) => readLoraAdapter(folder, config)));
    const weights = adapters.map(() => 1);
    const adapter = adapters.length > 1 ? mergeAdaptersCat(adapters, weights) : adapters[0];
    const prompt = { parts: tokenizeText(decoder.tokenizer, text, rows), adapter };
    const settings = {
      ...samplingSettings(options),
      ...(options.ignoreEos && { ignoreEos: true }),
      alternatives: options.topLogprobs ?? 0,
    };
    const topLogprobs: { id: number; text: string; logprob: number }[][] = [];
    let streamed = 0;
    for await (const event of decoder.compare([prompt], settings, signal)) {
      if (event.type === 'token') {
        streamed += event.token.text.length;
        topLogprobs.push(
          event.token.alternatives.map((token) => ({
            id: token.tokenId,
            text: token.text,
            logprob: token.logProbability,
          })),
        );
        if (!options.json) process.stdout.write(printable(event.token.text));
        continue;
      }
      const { generation } = event;
      if (options.json) {
        const { promptTokens, tokenIds, text: answer, stopReason } = generation;
        const timings = { loadMs: decoder.loadMs, ...generation.timings };
        const { device: usedDevice, precision: usedPrecision } = decoder;
        const described = { model: options.model, device: usedDevice, precision: usedPrecision };
        const result = {
          ...{ ...described, promptTokens, tokenIds, text: answer, stopReason, timings },
          ...(options.topLogprobs ? { topLogprobs } : {}),
        };
        process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
      } else {
        process.stdout.write(`${printable(generation.text.slice(streamed))}\n`);
        const speed = generation.timings.decodeTokensPerSecond.toFixed(1);
        process.stderr.write(dim(`${generation.tokenIds.length} tokens, ${speed} per second\n`));
      }
    }
  } finally {
    await decoder.dispose();
  }
}

async function promptText({ prompt, promptFile }: GenerateOptions): Promise<string> {
  if ((prompt === undefined) === (promptFile === undefined)) {
    throw new UserError('Give the prompt by either --prompt or --prompt-file.');
  }
  if (prompt !== undefined) return prompt;
  return (await readTextFile(promptFile!)).text;
}
