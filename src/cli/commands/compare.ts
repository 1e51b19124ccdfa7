/** `spring compare`: paired statistics of answers to the same questions. */
import { InvalidArgumentError } from 'commander';
import {
  comparisonCells,
  comparisonNote,
  comparisonTitles,
  nameColumns,
} from '../../evaluation/report/comparisonTable.ts';
import { textTable } from '../../evaluation/report/textTable.ts';
import { defaultResampling, type Resampling } from '../../evaluation/statistics/bootstrap.ts';
import { comparePaired } from '../../evaluation/statistics/pairedComparison.ts';
import { readScoreFiles } from '../../evaluation/statistics/scoreFiles.ts';
import { scoreTable } from '../../evaluation/statistics/scoreTable.ts';
import type { RegisterCommand } from '../command.ts';
import { count } from '../options.ts';
import { indented, printable } from '../terminal.ts';

interface CompareOptions extends Resampling {
  baseline?: string;
  json?: boolean;
}

export const registerCompare: RegisterCommand = (program) => {
  program
    .command('compare <runs...>')
    .description(
      'paired statistics of runs of `spring eval` (folders) or of files of scored answers (JSON lines)',
    )
    .option('--baseline <id>', 'what the others are compared with (default: baseline, or else the first)')
    .option('--seed <n>', 'of the bootstrap and of the sign flips', count, defaultResampling.seed)
    .option('--resamples <n>', 'draws of each', resampleCount, defaultResampling.resamples)
    .option('--json', 'print one JSON document; differences of scores are shares of 1')
    .action(compare);
};

async function compare(runs: string[], options: CompareOptions): Promise<void> {
  const { baseline, seed, resamples } = options;
  const table = scoreTable(await readScoreFiles(runs));
  const comparisons = comparePaired(table, { seed, resamples }, baseline);
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ seed, resamples, comparisons }, null, 2)}\n`);
    return;
  }
  const rows = comparisons.map((comparison) => comparisonCells(comparison).map(printable));
  process.stdout.write(
    `${textTable([comparisonTitles, ...rows], nameColumns)}\n\n${indented(comparisonNote, '')}\n`,
  );
}

/** With fewer draws there are no 2.5 % on either side; more would take hours and memory without showing more. */
function resampleCount(text: string): number {
  const value = count(text);
  if (value < 100 || value > 1_000_000)
    throw new InvalidArgumentError('Expected a number from 100 to 1000000.');
  return value;
}
