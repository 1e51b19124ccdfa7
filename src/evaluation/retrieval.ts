/** Passages for questions that come without: the best that a retriever finds; how good an experiment's passages are. */
import { prepared, retrievePassages, type Retriever } from '../retrieval/retriever.ts';
import type { Condition } from './conditions.ts';
import { mean } from './metrics.ts';
import type { EvaluationItem } from './questions.ts';
import { answerStringMeasures } from './retrievalMeasures/answerStrings.ts';
import type { Rankings } from './retrievalMeasures/trecFiles.ts';

/**
 * The items with their best passages, from a retriever that is brought up to date first.
 * @param top passages per question
 * @throws UserError, CancelledError
 */
export async function retrieveForItems(
  items: readonly EvaluationItem[],
  retriever: Retriever,
  top: number,
  signal?: AbortSignal,
): Promise<EvaluationItem[]> {
  await prepared(retriever, signal);
  const result: EvaluationItem[] = [];
  for (const item of items) {
    const { passages } = await retrievePassages(retriever, item.question, top, signal);
    result.push({ ...item, passages });
  }
  return result;
}

/** How often passages hold an answer, for one number of passages in the prompt. */
export interface PassageQuality {
  passages: number;
  /** Share of the questions with a gold answer in a passage. */
  answerRecall: number;
  /** Share of the passages with one, mean over the questions. */
  answerPrecision: number;
}

/** Means over the questions (answerStrings.ts has the definitions), for each number of passages of the conditions. */
export function passageQuality(
  items: readonly EvaluationItem[],
  conditions: readonly Condition[],
): PassageQuality[] {
  const counts = [...new Set(conditions.map(({ passages }) => passages))].filter((count) => count > 0);
  return counts.map((passages) => {
    const measured = items.map((item) =>
      answerStringMeasures(
        item.passages.slice(0, passages).map(({ text }) => text),
        item.goldAnswers,
      ),
    );
    return {
      passages,
      answerRecall: mean(measured.map(({ recall }) => recall)),
      answerPrecision: mean(measured.map(({ precision }) => precision)),
    };
  });
}

/**
 * The passages that were retrieved, by question: their place `path:first-last` is the document's id. Passages that came
 * with the data have none and are left out.
 */
export function passageRankings(items: readonly EvaluationItem[]): Rankings {
  const rankings = items.map(({ id, passages }): [string, { document: string; score: number }[]] => [
    id,
    passages.flatMap(({ path, startLine, endLine, score }) =>
      path === undefined || score === undefined
        ? []
        : [{ document: `${path}:${startLine}-${endLine}`, score }],
    ),
  ]);
  return new Map(rankings.filter(([, ranking]) => ranking.length > 0));
}
