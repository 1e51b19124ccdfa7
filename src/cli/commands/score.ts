/** `spring score`: how likely a model finds a text, token by token. */
import { readTextFile } from '../../checkpoint/textFile.ts';
import { readVirtualTokens } from '../../checkpoint/virtualTokens.ts';
import { resolveModel, resolveTokenFile } from '../../hub/resolve.ts';
import { UserError } from '../../protocol/errors.ts';
import { tokenizeText } from '../../spring/tokenizePrompt.ts';
import { addModelOptions, interruptSignal, type ModelOptions } from '../options.ts';
import { openDecoder } from '../openDecoder.ts';
import type { RegisterCommand } from '../command.ts';

interface ScoreOptions extends ModelOptions {
  textFile: string;
  tokens?: string;
  json?: boolean;
}

export const registerScore: RegisterCommand = (program) => {
  const command = program
    .command('score')
    .description('log probability of every token of a text, and its perplexity')
    .requiredOption(
      '--text-file <file>',
      'a text file; with --tokens, [ref1], [ref2]… stand for virtual tokens',
    )
    .option('--tokens <file>', 'virtual tokens: a .pt or .safetensors file, or a name from `spring models`')
    .option('--json', 'print one JSON document');
  addModelOptions(command).action((options: ScoreOptions) => score(options));
};

async function score(options: ScoreOptions): Promise<void> {
  const signal = interruptSignal();
  const { text } = await readTextFile(options.textFile);
  const { model, device, precision } = options;
  const decoder = await openDecoder(model, await resolveModel(model), { device, precision, signal });
  try {
    const rows = options.tokens
      ? await readVirtualTokens(await resolveTokenFile(options.tokens), {
          hiddenSize: decoder.checkpoint.config.hiddenSize,
        })
      : undefined;
    const parts = tokenizeText(decoder.tokenizer, text, rows);
    const view = decoder.tokenizer.withVirtualTokens(rows?.count ?? 0);
    const tokenIds = view.encode(text);
    if (tokenIds.length < 2) {
      throw new UserError(
        `${options.textFile} gives ${tokenIds.length} tokens; at least two are needed, since the first is not scored.`,
      );
    }
    const logProbs = await decoder.score({ parts }, signal);
    const known = logProbs.filter((value) => value !== null);
    const meanLogProb = known.reduce((sum, value) => sum + value, 0) / known.length;
    const perplexity = Math.exp(-meanLogProb);
    if (options.json) {
      const result = { model, precision: decoder.precision, tokenIds, logProbs, meanLogProb, perplexity };
      process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    } else {
      process.stdout.write(
        `${tokenIds.length} tokens, mean log probability ${meanLogProb.toFixed(4)}, ` +
          `perplexity ${perplexity.toFixed(3)} (${decoder.precision})\n`,
      );
    }
  } finally {
    await decoder.dispose();
  }
}
