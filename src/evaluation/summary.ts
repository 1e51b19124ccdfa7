/** Means over the items of an experiment, by condition. */
import type { VariantId } from '../protocol/comparison.ts';
import { conditionKey, type Condition } from './conditions.ts';
import { mean, shareInterval } from './metrics.ts';
import type { Prediction } from './predictions.ts';

/** Scores are shares of 1. */
export interface ConditionSummary {
  id: VariantId;
  k: number;
  passages: number;
  /** Predictions that were counted. */
  items: number;
  exactMatch: number;
  /** 95 % interval of exactMatch. */
  exactMatchInterval: [low: number, high: number];
  f1: number;
  precision: number;
  recall: number;
  accuracy: number;
  meanAnswerTokens: number;
  meanPromptTokens: number;
  /** Answers that ended by their length, not by themselves. */
  unfinished: number;
  /** Prompts that were cut to fit the model's context. */
  truncated: number;
}

/** One row per condition, in their order; predictions of other conditions are left out. */
export function summarize(
  conditions: readonly Condition[],
  predictions: Iterable<Prediction>,
): ConditionSummary[] {
  const groups = new Map<string, Prediction[]>(conditions.map((condition) => [conditionKey(condition), []]));
  for (const prediction of predictions) groups.get(conditionKey(prediction))?.push(prediction);
  return conditions.map((condition) => summarizeGroup(condition, groups.get(conditionKey(condition))!));
}

function summarizeGroup(condition: Condition, group: readonly Prediction[]): ConditionSummary {
  const average = (name: 'exactMatch' | 'f1' | 'precision' | 'recall' | 'accuracy'): number =>
    mean(group.map((prediction) => prediction[name]));
  return {
    id: condition.variant,
    k: condition.k,
    passages: condition.passages,
    items: group.length,
    exactMatch: average('exactMatch'),
    exactMatchInterval: shareInterval(average('exactMatch'), group.length),
    f1: average('f1'),
    precision: average('precision'),
    recall: average('recall'),
    accuracy: average('accuracy'),
    meanAnswerTokens: mean(group.map(({ answerTokens }) => answerTokens)),
    meanPromptTokens: mean(group.map(({ promptTokens }) => promptTokens)),
    unfinished: group.filter(({ stopReason }) => stopReason === 'length').length,
    truncated: group.filter(({ truncatedTokens }) => truncatedTokens > 0).length,
  };
}

const columns: readonly [title: string, cell: (row: ConditionSummary) => string][] = [
  ['variant', ({ id }) => id],
  ['passages', ({ passages }) => String(passages)],
  ['items', ({ items }) => String(items)],
  ['EM %', ({ exactMatch }) => percent(exactMatch)],
  ['95 %', ({ exactMatchInterval: [low, high] }) => `${percent(low)}-${percent(high)}`],
  ['F1 %', ({ f1 }) => percent(f1)],
  ['precision %', ({ precision }) => percent(precision)],
  ['recall %', ({ recall }) => percent(recall)],
  ['accuracy %', ({ accuracy }) => percent(accuracy)],
  ['answer tokens', ({ meanAnswerTokens }) => meanAnswerTokens.toFixed(1)],
  ['prompt tokens', ({ meanPromptTokens }) => meanPromptTokens.toFixed(0)],
];

/** A table as text: titles, then one row per condition; numbers are aligned on the right. */
export function summaryTable(rows: readonly ConditionSummary[]): string {
  const cells = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, cell]) => cell(row)))];
  const widths = columns.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join('  '),
    )
    .join('\n');
}

/** A share as a percentage with one digit. */
export function percent(share: number): string {
  return (100 * share).toFixed(1);
}
