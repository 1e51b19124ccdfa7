/**
 * Questions with answers and passages, one JSON object per line, as training and evaluation read them: SPRING's
 * `{question, target, ret_passages}` and FlashRAG's `{id, question, golden_answers}`, whose passages stand in
 * `retrieval_result` or `output.retrieval_result` as objects with `contents`.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { messageOf, UserError } from '../protocol/errors.ts';
import type { Passage } from '../protocol/passages.ts';

export type JsonObject = Record<string, unknown>;

export interface DataLine {
  record: JsonObject;
  /** From 1. */
  number: number;
  /** File and line, for messages. */
  where: string;
}

/**
 * Reads the lines of a data file; empty ones are left out.
 * @returns the lines, and the SHA-256 of the whole file in hexadecimal
 * @throws UserError that names the line that is wrong, or if there is none
 */
export async function readDataLines(file: string): Promise<{ lines: DataLine[]; sha256: string }> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new UserError(`The data file ${file} cannot be read: ${messageOf(error)}`);
  });
  const lines = text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .map((line, index) => ({ line, number: index + 1, where: `${file}, line ${index + 1}` }))
    .filter(({ line }) => line.trim() !== '')
    .map(({ line, number, where }) => ({ record: parseObject(line, where), number, where }));
  if (lines.length === 0) throw new UserError(`The data file ${file} holds no questions or examples.`);
  return { lines, sha256: createHash('sha256').update(text).digest('hex') };
}

/** The accepted answers: text, or a list of texts, in `target` or `golden_answers`. @throws UserError */
export function readAnswers(record: JsonObject, where: string): string[] {
  const value = record['target'] ?? record['golden_answers'];
  const answers: unknown[] = Array.isArray(value) ? value : [value];
  if (answers.length === 0 || !answers.every((answer) => typeof answer === 'string' && answer !== '')) {
    throw new UserError(
      `${where} has no gold answers: expected text, or a list of texts, in "target" or "golden_answers".`,
    );
  }
  return answers as string[];
}

/** The passages, in their order; none if the line has no list of them. @throws UserError */
export function readPassages(record: JsonObject, where: string): Passage[] {
  const output = isObject(record['output']) ? record['output'] : {};
  const found = record['ret_passages'] ?? record['retrieval_result'] ?? output['retrieval_result'] ?? [];
  if (!Array.isArray(found)) throw new UserError(`${where}: the passages are not a list.`);
  return found.map((passage: unknown, index) => {
    const text = isObject(passage) ? (passage['text'] ?? passage['contents']) : passage;
    if (typeof text === 'string') return { text };
    throw new UserError(`${where}: passage ${index + 1} is no text and has neither "text" nor "contents".`);
  });
}

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

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
