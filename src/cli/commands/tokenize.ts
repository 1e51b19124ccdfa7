/** `spring tokenize`: a text as a model's tokens. */
import { openTokenizer } from '../../checkpoint/tokenizer.ts';
import { resolveModel } from '../../hub/resolve.ts';
import { printable } from '../terminal.ts';
import type { RegisterCommand } from '../command.ts';

interface TokenizeOptions {
  model: string;
  json?: boolean;
}

export const registerTokenize: RegisterCommand = (program) => {
  program
    .command('tokenize <text>')
    .description("show a text as a model's tokens: special tokens recognised, BOS as the tokenizer adds it")
    .option('--model <name>', 'checkpoint folder, a .gguf file, a name from `spring models`, or demo', 'demo')
    .option('--json', 'print one JSON document')
    .action(async (text: string, options: TokenizeOptions) => {
      const tokenizer = await openTokenizer(await resolveModel(options.model));
      const ids = tokenizer.encode(text);
      const pieces = tokenizer.pieces(ids);
      if (options.json) {
        process.stdout.write(`${JSON.stringify({ model: options.model, ids, pieces }, null, 2)}\n`);
        return;
      }
      const width = Math.max(0, ...ids.map((id) => String(id).length));
      for (const [index, id] of ids.entries()) {
        process.stdout.write(`${String(id).padStart(width)}  ${printable(JSON.stringify(pieces[index]))}\n`);
      }
    });
};
