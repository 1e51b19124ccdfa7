/** Passages for questions that come without: the best of a folder's documents; how good an experiment's passages are. */
import { passageText } from '../retrieval/passageText.ts';
import { defaultIndexFile } from '../retrieval/workspace.ts';
import { openIndex } from '../retrieval/workspaceIndex.ts';
import type { Condition } from './conditions.ts';
import { mean } from './metrics.ts';
import type { EvaluationItem } from './questions.ts';
import { answerStringMeasures } from './retrievalMeasures/answerStrings.ts';
import type { Rankings } from './retrievalMeasures/trecFiles.ts';

/**
 * The items with their best passages from the documents of a folder, whose index is brought up to date first.
 * @param top passages per question
 * @throws UserError, CancelledError
 */
export async function retrieveForItems(
  items: readonly EvaluationItem[],
  folder: string,
  top: number,
  signal?: AbortSignal,
): Promise<EvaluationItem[]> {
  using index = openIndex(defaultIndexFile(folder));
  const options = signal ? { signal } : {};
  const update = index.update([folder], options);
  while (!(await update.next()).done); // its progress is of no interest here
  const result: EvaluationItem[] = [];
  for (const item of items) {
    const { hits } = await index.search(item.question, { ...options, limit: top });
    const passages = hits.map((hit) => {
      const { path, startLine, endLine, score } = hit;
      return { text: passageText(hit), path, startLine, endLine, score };
    });
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
