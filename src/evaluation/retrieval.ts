/** Passages for questions that come without: the best of a folder's documents. */
import { passageText } from '../retrieval/passageText.ts';
import { defaultIndexFile } from '../retrieval/workspace.ts';
import { openIndex } from '../retrieval/workspaceIndex.ts';
import type { EvaluationItem } from './questions.ts';

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
