/** `spring`: the engine on the command line. One file per command in commands/. */
import { Command, CommanderError } from 'commander';
import { CancelledError, messageOf, UserError } from '../protocol/errors.ts';
import { visible } from '../protocol/visible.ts';
import { commands } from './commands/index.ts';

const program = new Command('spring')
  .description('Experiments with retrieval-augmented generation: SPRING virtual tokens and Parametric RAG.')
  .exitOverride()
  .showHelpAfterError('(run with --help for the options)');
for (const register of commands) register(program);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else if (error instanceof UserError || error instanceof CancelledError) {
    process.stderr.write(`${visible(error.message)}\n`);
    process.exitCode = 1;
  } else {
    process.stderr.write(
      `Unexpected error, please report it: ${visible(String(error instanceof Error ? error.stack : messageOf(error)))}\n`,
    );
    process.exitCode = 1;
  }
}
