/** The results of an experiment beside its predictions: `summary.json` and `report.html`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Condition } from '../conditions.ts';
import type { ExperimentSettings, Prediction } from '../predictions.ts';
import type { PairedComparison } from '../statistics/pairedComparison.ts';
import type { ConditionSummary } from '../summary.ts';
import { htmlReport } from './htmlReport.ts';

/** Writes both files, replacing those of an earlier run of the same experiment. */
export async function writeResults(
  folder: string,
  result: {
    model: string;
    variants: readonly ConditionSummary[];
    comparisons: readonly PairedComparison[];
  },
  settings: ExperimentSettings,
  conditions: readonly Condition[],
  predictions: readonly Prediction[],
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
    predictions,
  });
  await writeFile(join(folder, 'report.html'), report);
}
