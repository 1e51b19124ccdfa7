/** Means over the items of an experiment, by condition. */
import type { VariantId } from '../protocol/comparison.ts';
import { conditionKey, type Condition } from './conditions.ts';
import { mean } from './metrics.ts';
import type { Prediction } from './predictions.ts';
import { percent, textTable } from './report/textTable.ts';
import { bootstrapIntervals, defaultResampling, type Interval } from './statistics/bootstrap.ts';
import { shareInterval } from './statistics/shareInterval.ts';

/** Scores are shares of 1. */
export interface ConditionSummary {
  id: VariantId;
  k: number;
  passages: number;
  /** Predictions that were counted. */
  items: number;
  exactMatch: number;
  f1: number;
  precision: number;
  recall: number;
  accuracy: number;
  /** 95 % intervals: Wilson's of exact match and accuracy, of the others by a bootstrap over the questions. */
  exactMatchInterval: Interval;
  f1Interval: Interval;
  precisionInterval: Interval;
  recallInterval: Interval;
  accuracyInterval: Interval;
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
  const [f1Interval, precisionInterval, recallInterval] = bootstrapIntervals(
    (['f1', 'precision', 'recall'] as const).map((name) =>
      Float64Array.from(group, (prediction) => prediction[name]),
    ),
    defaultResampling,
  );
  return {
    id: condition.variant,
    k: condition.k,
    passages: condition.passages,
    items: group.length,
    exactMatch: average('exactMatch'),
    f1: average('f1'),
    precision: average('precision'),
    recall: average('recall'),
    accuracy: average('accuracy'),
    exactMatchInterval: shareInterval(average('exactMatch'), group.length),
    f1Interval: f1Interval!,
    precisionInterval: precisionInterval!,
    recallInterval: recallInterval!,
    accuracyInterval: shareInterval(average('accuracy'), group.length),
    meanAnswerTokens: mean(group.map(({ answerTokens }) => answerTokens)),
    meanPromptTokens: mean(group.map(({ promptTokens }) => promptTokens)),
    unfinished: group.filter(({ stopReason }) => stopReason === 'length').length,
    truncated: group.filter(({ truncatedTokens }) => truncatedTokens > 0).length,
  };
}

const range = ([low, high]: Interval): string => `${percent(low)}-${percent(high)}`;

const columns: readonly [title: string, cell: (row: ConditionSummary) => string][] = [
  ['variant', ({ id }) => id],
  ['passages', ({ passages }) => String(passages)],
  ['items', ({ items }) => String(items)],
  ['EM %', ({ exactMatch }) => percent(exactMatch)],
  ['95 %', ({ exactMatchInterval }) => range(exactMatchInterval)],
  ['F1 %', ({ f1 }) => percent(f1)],
  ['95 %', ({ f1Interval }) => range(f1Interval)],
  ['precision %', ({ precision }) => percent(precision)],
  ['recall %', ({ recall }) => percent(recall)],
  ['accuracy %', ({ accuracy }) => percent(accuracy)],
  ['95 %', ({ accuracyInterval }) => range(accuracyInterval)],
  ['answer tokens', ({ meanAnswerTokens }) => meanAnswerTokens.toFixed(1)],
  ['prompt tokens', ({ meanPromptTokens }) => meanPromptTokens.toFixed(0)],
];

/** A table as text: titles, then one row per condition; numbers are aligned on the right. */
export function summaryTable(rows: readonly ConditionSummary[]): string {
  return textTable([
    columns.map(([title]) => title),
    ...rows.map((row) => columns.map(([, cell]) => cell(row))),
  ]);
}
