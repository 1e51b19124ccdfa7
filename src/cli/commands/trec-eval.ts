/** `spring trec-eval`: how good a ranking is by relevance judgements, from files as TREC's tools write them. */
import { textTable } from '../../evaluation/report/textTable.ts';
import { evaluateRun, measureNames } from '../../evaluation/retrievalMeasures/measures.ts';
import { readJudgements, readRun } from '../../evaluation/retrievalMeasures/trecFiles.ts';
import { UserError } from '../../protocol/errors.ts';
import type { RegisterCommand } from '../command.ts';

export const registerTrecEval: RegisterCommand = (program) => {
  program
    .command('trec-eval <qrels> <run>')
    .description('retrieval measures of a TREC run by relevance judgements, as trec_eval computes them')
    .option('--json', 'print one JSON document, with the measures of every question')
    .action(trecEval);
};

async function trecEval(qrels: string, run: string, options: { json?: boolean }): Promise<void> {
  const judgements = await readJudgements(qrels);
  const rankings = await readRun(run);
  const evaluation = evaluateRun(judgements, rankings);
  const questions = Object.keys(evaluation.perQuestion).length;
  if (questions === 0) {
    throw new UserError(
      `${qrels} and ${run} have no question in common: the first judges ${[...judgements.keys()][0]}, …, the second ranks ` +
        `documents for ${[...rankings.keys()][0]}, ….`,
    );
  }
  const left = { unranked: judgements.size - questions, unjudged: rankings.size - questions };
  if (left.unranked + left.unjudged > 0) {
    process.stderr.write(
      `Left out, as trec_eval does: ${left.unranked} questions without a ranking, ${left.unjudged} without judgements.\n`,
    );
  }
  if (options.json) {
    process.stdout.write(`${JSON.stringify(evaluation, null, 2)}\n`);
    return;
  }
  const rows = measureNames.map((name) => [name, evaluation.measures[name].toFixed(4)]);
  process.stdout.write(`${textTable([['questions', String(questions)], ...rows])}\n`);
}
