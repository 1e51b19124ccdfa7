/** The results of an experiment beside its predictions: `summary.json`, `report.html`, `passages.trec`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Condition } from '../conditions.ts';
import type { ExperimentSettings, Prediction } from '../predictions.ts';
import type { PairedComparison } from '../statistics/pairedComparison.ts';
import type { ConditionSummary } from '../summary.ts';
import type { EvaluationItem } from '../questions.ts';
import { passageRankings, type PassageQuality } from '../retrieval.ts';
import { runText } from '../retrievalMeasures/trecFiles.ts';
import { htmlReport } from './htmlReport.ts';

/** Writes the files, replacing those of an earlier run of the same experiment; the last one where passages were retrieved. */
export async function writeResults(
  folder: string,
  result: {
    model: string;
    variants: readonly ConditionSummary[];
    comparisons: readonly PairedComparison[];
    retrieval: readonly PassageQuality[];
  },
  settings: ExperimentSettings,
  conditions: readonly Condition[],
  predictions: readonly Prediction[],
  items: readonly EvaluationItem[],
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'summary.json'), `${JSON.stringify(result, null, 2)}\n`);
  const report = htmlReport({
    title: `Evaluation of ${result.model}`,
    settings: Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [name, String(value ?? '-')]),
    ),
    conditions,
    summaries: result.variants,
    comparisons: result.comparisons,
    retrieval: result.retrieval,
    predictions,
  });
  await writeFile(join(folder, 'report.html'), report);
  const rankings = passageRankings(items);
  if (rankings.size > 0) await writeFile(join(folder, 'passages.trec'), runText(rankings, 'spring'));
}
