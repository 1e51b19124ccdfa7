/** Training data, one JSON object per line: questions with passages and answers, or raw pieces of text. */
import { UserError } from '../../protocol/errors.ts';
import type { Passage } from '../../protocol/passages.ts';
import {
  noAnswers,
  readAnswers,
  readDataLines,
  readPassages,
  type DataLine,
  type JsonObject,
} from '../dataFile.ts';

export interface QuestionItem {
  kind: 'question';
  question: string;
  /** Accepted answers; the first is learnt. */
  answers: string[];
  passages: Passage[];
}

/** Trained exactly as written: nothing is put between the pieces or after them. */
export interface RawItem {
  kind: 'raw';
  prefix: string;
  suffix: string;
  completion: string;
}

/** `where`: the file and line, for messages. */
export type TrainingItem = (QuestionItem | RawItem) & { where: string };

export interface TrainingData {
  items: TrainingItem[];
  /** SHA-256 of the file in hexadecimal. */
  sha256: string;
  /** Questions without an answer, which there is nothing to learn from. */
  leftOut: number;
}

/**
 * Reads SPRING's `{question, target, ret_passages}`, FlashRAG's `{question, golden_answers}` (passages in
 * `retrieval_result` or `output.retrieval_result`), or raw `{prefix, suffix, completion}`.
 * @throws UserError that names the line that is wrong
 */
export async function readTrainingData(file: string): Promise<TrainingData> {
  const { lines, sha256 } = await readDataLines(file);
  const items = lines.map((line) => {
    const { record, where } = line;
    const item = 'completion' in record ? readRaw(record, where) : readQuestion(line);
    return { ...item, where };
  });
  const answered = items.filter((item) => item.kind === 'raw' || item.answers.length > 0);
  if (answered.length === 0) throw noAnswers(lines);
  return { items: answered, sha256, leftOut: items.length - answered.length };
}

function readRaw(record: JsonObject, where: string): RawItem {
  const { prefix = '', suffix = '', completion } = record;
  if (typeof prefix !== 'string' || typeof suffix !== 'string' || typeof completion !== 'string') {
    throw new UserError(`${where}: "prefix", "suffix" and "completion" must be text.`);
  }
  if (completion === '') throw new UserError(`${where}: the completion is empty; there is nothing to learn.`);
  return { kind: 'raw', prefix, suffix, completion };
}

function readQuestion(line: DataLine): QuestionItem {
  const { record, where } = line;
  const { question } = record;
  if (typeof question !== 'string' || question.trim() === '') {
    throw new UserError(
      `${where} has neither a "question" nor a "completion": expected {"question", "target", "ret_passages"}, ` +
        '{"question", "golden_answers"} or {"prefix", "suffix", "completion"}.',
    );
  }
  const answers = readAnswers(line);
  return { kind: 'question', question, answers, passages: readPassages(record, where) };
}
