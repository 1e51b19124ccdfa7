/** Training data, one JSON object per line: questions with passages and answers, or raw pieces of text. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { messageOf, UserError } from '../../protocol/errors.ts';
import type { Passage } from '../../protocol/passages.ts';

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
}

/**
 * Reads SPRING's `{question, target, ret_passages}`, FlashRAG's `{question, golden_answers}` (passages in
 * `retrieval_result` or `output.retrieval_result`), or raw `{prefix, suffix, completion}`.
 * @throws UserError that names the line that is wrong
 */
export async function readTrainingData(file: string): Promise<TrainingData> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new UserError(`The training data ${file} cannot be read: ${messageOf(error)}`);
  });
  const items = text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .map((line, index) => ({ line, where: `${file}, line ${index + 1}` }))
    .filter(({ line }) => line.trim() !== '')
    .map(({ line, where }) => ({ ...readItem(line, where), where }));
  if (items.length === 0) throw new UserError(`The training data ${file} holds no examples.`);
  return { items, sha256: createHash('sha256').update(text).digest('hex') };
}

type JsonObject = Record<string, unknown>;

function readItem(line: string, where: string): QuestionItem | RawItem {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch (error) {
    throw new UserError(
      `${where} is not valid JSON (${messageOf(error)}); expected one JSON object per line.`,
    );
  }
  if (!isObject(record)) throw new UserError(`${where} is not a JSON object.`);
  return 'completion' in record ? readRaw(record, where) : readQuestion(record, where);
}

function readRaw(record: JsonObject, where: string): RawItem {
  const { prefix = '', suffix = '', completion } = record;
  if (typeof prefix !== 'string' || typeof suffix !== 'string' || typeof completion !== 'string') {
    throw new UserError(`${where}: "prefix", "suffix" and "completion" must be text.`);
  }
  if (completion === '') throw new UserError(`${where}: the completion is empty; there is nothing to learn.`);
  return { kind: 'raw', prefix, suffix, completion };
}

function readQuestion(record: JsonObject, where: string): QuestionItem {
  const { question } = record;
  if (typeof question !== 'string' || question.trim() === '') {
    throw new UserError(
      `${where} has neither a "question" nor a "completion": expected {"question", "target", "ret_passages"}, ` +
        '{"question", "golden_answers"} or {"prefix", "suffix", "completion"}.',
    );
  }
  const target = record['target'] ?? record['golden_answers'];
  const answers: unknown[] = Array.isArray(target) ? target : [target];
  if (answers.length === 0 || !answers.every((answer) => typeof answer === 'string' && answer !== '')) {
    throw new UserError(
      `${where} has no answer: expected text, or a list of texts, in "target" or "golden_answers".`,
    );
  }
  return { kind: 'question', question, answers: answers as string[], passages: readPassages(record, where) };
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
