/** Questions with gold answers, as evaluations read them: one JSON object per line. */
import { UserError } from '../protocol/errors.ts';
import type { Passage } from '../protocol/passages.ts';
import { noAnswers, readAnswers, readDataLines, readPassages, type DataLine } from '../spring/dataFile.ts';

export interface EvaluationItem {
  /** Of the data file, or the number of the line. */
  id: string;
  question: string;
  goldAnswers: string[];
  passages: Passage[];
}

export interface EvaluationData {
  file: string;
  /** Of the whole file, in hexadecimal. */
  sha256: string;
  items: EvaluationItem[];
  /** Numbers of the lines that are left out because they have no gold answer. */
  unanswered: number[];
}

/**
 * Reads a data file (dataFile.ts has the formats).
 * @throws UserError that names the line that is wrong
 */
export async function readEvaluationData(file: string): Promise<EvaluationData> {
  const { lines, sha256 } = await readDataLines(file);
  const all = lines.map(readItem);
  const items = all.filter(({ goldAnswers }) => goldAnswers.length > 0);
  if (items.length === 0) throw noAnswers(lines);
  const unanswered = lines.filter((_, index) => all[index]!.goldAnswers.length === 0);
  // ids identify predictions: where a file repeats one, its lines are counted instead
  if (new Set(items.map(({ id }) => id)).size < items.length)
    items.forEach((item, index) => (item.id = String(index + 1)));
  return { file, sha256, items, unanswered: unanswered.map(({ number }) => number) };
}

function readItem(line: DataLine): EvaluationItem {
  const { record, number, where } = line;
  const { question, id } = record;
  if (typeof question !== 'string' || question.trim() === '') {
    const hint =
      'completion' in record ? ' Raw training examples (prefix, suffix, completion) have none.' : '';
    throw new UserError(`${where} has no "question".${hint}`);
  }
  return {
    id: typeof id === 'string' || typeof id === 'number' ? String(id) : String(number),
    question,
    goldAnswers: readAnswers(line),
    passages: readPassages(record, where),
  };
}
