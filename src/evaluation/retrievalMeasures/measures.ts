/** Measures of rankings against relevance judgements, as NIST's trec_eval computes them. */
import { mean } from '../metrics.ts';
import type { Judgements, RankedDocument, Rankings } from './trecFiles.ts';

/** The names are trec_eval's. */
export const measureNames = [
  'P_3',
  'recall_1',
  'recall_3',
  'recall_10',
  'ndcg_cut_10',
  'recip_rank',
  'map',
] as const;

export type Measures = Record<(typeof measureNames)[number], number>;

export interface RetrievalEvaluation {
  /** Means over the questions. */
  measures: Measures;
  /** The questions that have both judgements and a ranking, as trec_eval counts them; in the order of the run. */
  perQuestion: Record<string, Measures>;
}

/** Measures of every question that has judgements and a ranking, and their means. */
export function evaluateRun(judgements: Judgements, rankings: Rankings): RetrievalEvaluation {
  const perQuestion = new Map<string, Measures>();
  for (const [question, ranking] of rankings) {
    const relevance = judgements.get(question);
    if (relevance) perQuestion.set(question, measure(relevance, ranking));
  }
  const all = [...perQuestion.values()];
  const measures = Object.fromEntries(
    measureNames.map((name) => [name, mean(all.map((values) => values[name]))]),
  ) as Measures;
  return { measures, perQuestion: Object.fromEntries(perQuestion) };
}

/** @param relevance of the judged documents; others are not relevant */
export function measure(
  relevance: ReadonlyMap<string, number>,
  ranking: readonly RankedDocument[],
): Measures {
  const gains = inOrder(ranking).map(({ document }) => Math.max(0, relevance.get(document) ?? 0));
  const possible = [...relevance.values()].filter((value) => value > 0).sort((a, b) => b - a);
  const relevantUpTo = (count: number): number => gains.slice(0, count).filter((gain) => gain > 0).length;
  const share = (value: number, of: number): number => (of === 0 ? 0 : value / of);
  const recall = (count: number): number => share(relevantUpTo(count), possible.length);
  const first = gains.findIndex((gain) => gain > 0);
  let found = 0;
  let precisions = 0;
  gains.forEach((gain, index) => {
    if (gain > 0) precisions += ++found / (index + 1);
  });
  return {
    P_3: relevantUpTo(3) / 3,
    recall_1: recall(1),
    recall_3: recall(3),
    recall_10: recall(10),
    ndcg_cut_10: share(discountedGain(gains.slice(0, 10)), discountedGain(possible.slice(0, 10))),
    recip_rank: first < 0 ? 0 : 1 / (first + 1),
    map: share(precisions, possible.length),
  };
}

/**
 * By score, the highest first; equal scores by document id, the last in the order of bytes first. trec_eval keeps
 * scores in single precision, so scores are equal that differ less.
 */
export function inOrder(ranking: readonly RankedDocument[]): RankedDocument[] {
  return ranking.toSorted(
    (a, b) =>
      Math.fround(b.score) - Math.fround(a.score) ||
      Buffer.compare(Buffer.from(b.document), Buffer.from(a.document)),
  );
}

/** Sum of gain / log2(rank + 1). */
function discountedGain(gains: readonly number[]): number {
  return gains.reduce((sum, gain, index) => sum + gain / Math.log2(index + 2), 0);
}
