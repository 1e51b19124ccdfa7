/** Questions with gold answers, as evaluations read them: one JSON object per line. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { messageOf, UserError } from '../protocol/errors.ts';
import type { Passage } from '../protocol/passages.ts';

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
}

/**
 * Reads a data file: SPRING's `{question, target, ret_passages}` or FlashRAG's `{id, question, golden_answers}`, whose
 * retrieval results may stand in `retrieval_result` or `output.retrieval_result` (objects with `contents`). A passage is
 * text or an object with `text` or `contents`.
 * @throws UserError that names the line that is wrong
 */
export async function readEvaluationData(file: string): Promise<EvaluationData> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new UserError(`The data file ${file} cannot be read: ${messageOf(error)}`);
  });
  const items = text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .map((line, index) => ({ line, where: `${file}, line ${index + 1}`, number: index + 1 }))
    .filter(({ line }) => line.trim() !== '')
    .map(({ line, where, number }) => readItem(parseObject(line, where), where, String(number)));
  if (items.length === 0) throw new UserError(`The data file ${file} holds no questions.`);
  // ids identify predictions: where a file repeats one, its lines are counted instead
  if (new Set(items.map(({ id }) => id)).size < items.length)
    items.forEach((item, index) => (item.id = String(index + 1)));
  return { file, sha256: createHash('sha256').update(text).digest('hex'), items };
}

type JsonObject = Record<string, unknown>;

function parseObject(line: string, where: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new UserError(
      `${where} is not valid JSON (${messageOf(error)}); expected one JSON object per line.`,
    );
  }
  if (!isObject(value)) throw new UserError(`${where} is not a JSON object.`);
  return value;
}

function readItem(record: JsonObject, where: string, lineNumber: string): EvaluationItem {
  const { question, id } = record;
  if (typeof question !== 'string' || question.trim() === '') {
    const hint =
      'completion' in record ? ' Raw training examples (prefix, suffix, completion) have none.' : '';
    throw new UserError(`${where} has no "question".${hint}`);
  }
  return {
    id: typeof id === 'string' || typeof id === 'number' ? String(id) : lineNumber,
    question,
    goldAnswers: readAnswers(record['target'] ?? record['golden_answers'], where),
    passages: readPassages(record, where),
  };
}

function readAnswers(value: unknown, where: string): string[] {
  const answers: unknown[] = Array.isArray(value) ? value : [value];
  if (answers.length === 0 || !answers.every((answer) => typeof answer === 'string')) {
    throw new UserError(
      `${where} has no gold answers: expected text, or a list of texts, in "target" or "golden_answers".`,
    );
  }
  return answers;
}

function readPassages(record: JsonObject, where: string): Passage[] {
  const output = isObject(record['output']) ? record['output'] : {};
  const found = record['ret_passages'] ?? record['retrieval_result'] ?? output['retrieval_result'] ?? [];
  if (!Array.isArray(found)) throw new UserError(`${where}: the passages are not a list.`);
  return found.map((passage: unknown, index) => {
    const text = isObject(passage) ? (passage['text'] ?? passage['contents']) : passage;
    if (typeof text === 'string') return { text };
    throw new UserError(`${where}: passage ${index + 1} is no text and has neither "text" nor "contents".`);
  });
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
