/**
 * Questions with answers and passages, one JSON object per line, as training and evaluation read them: SPRING's
 * `{question, target, ret_passages}` and FlashRAG's `{id, question, golden_answers}`, whose passages stand in
 * `retrieval_result` or `output.retrieval_result` as objects with `contents`.
 */
import { createHash } from 'node:crypto';
import { numberText } from '../checkpoint/pythonText.ts';
import { readTextFile } from '../checkpoint/textFile.ts';
import { messageOf, UserError } from '../protocol/errors.ts';
import type { Passage } from '../protocol/passages.ts';

export type JsonObject = Record<string, unknown>;

export interface DataLine {
  record: JsonObject;
  /** As it stands in the file. */
  line: string;
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
  const { text, bytes } = await readTextFile(file);
  const lines = text
    .split('\n')
    .map((line, index) => ({ line, number: index + 1, where: `${file}, line ${index + 1}` }))
    .filter(({ line }) => line.trim() !== '')
    .map((entry) => ({ ...entry, record: parseObject(entry.line, entry.where) }));
  if (lines.length === 0) throw new UserError(`The data file ${file} holds no questions or examples.`);
  return { lines, sha256: createHash('sha256').update(bytes).digest('hex') };
}

/**
 * The accepted answers: text, or a list of texts, in `target` or `golden_answers`. Numbers are their text, as Python
 * writes it; with `choices` they are places in that list, from 0 (FlashRAG's multiple choice, flashrag/evaluator/metrics.py).
 *
 * @returns none if the line has no answer (unanswerable questions): empty texts are none
 * @throws UserError for answers of another kind
 */
export function readAnswers({ record, line, where }: DataLine): string[] {
  const value = record['target'] ?? record['golden_answers'] ?? [];
  const answers: unknown[] = Array.isArray(value) ? value : [value];
  const { choices } = record;
  const isMultipleChoice = Array.isArray(choices) && choices.length > 0;
  const texts = answers.some((answer) => typeof answer === 'number')
    ? isMultipleChoice
      ? answers.map((answer) => (typeof answer === 'number' ? choiceAt(choices, answer, where) : answer))
      : answersWithNumbersAsText(line)
    : answers;
  if (!texts.every((text) => typeof text === 'string' || text === null)) {
    throw new UserError(
      `${where} has gold answers of another kind: expected text, or a list of texts, in "target" or "golden_answers".`,
    );
  }
  return texts.filter((text) => typeof text === 'string' && text.trim() !== '') as string[];
}

/** What to say of a file in which no question has an answer. */
export function noAnswers([first]: readonly DataLine[]): UserError {
  return new UserError(
    `${first!.where} has no gold answers, nor has any other line: expected text, or a list of texts, in "target" or ` +
      '"golden_answers".',
  );
}

function choiceAt(choices: readonly unknown[], place: number, where: string): string {
  const choice = Number.isInteger(place) ? choices[place] : undefined;
  if (typeof choice === 'number') return String(choice);
  if (typeof choice === 'string') return choice;
  throw new UserError(
    `${where}: its answer is choice ${place}, but it has the choices 0 to ${choices.length - 1}.`,
  );
}

/** JSON numbers lose how they were written (42.0, 2^60), so the line is read once more. */
function answersWithNumbersAsText(line: string): unknown[] {
  const texts = (_: string, value: unknown, context?: { source?: string }): unknown =>
    typeof value === 'number' ? numberText(value, context?.source ?? String(value)) : value;
  const record = JSON.parse(withoutNaN(line), texts) as JsonObject;
  const value = record['target'] ?? record['golden_answers'];
  return Array.isArray(value) ? (value as unknown[]) : [value];
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

/** Python writes NaN and Infinity, which JSON has not; they stand for nothing that is read here. */
function withoutNaN(line: string): string {
  if (!/NaN|Infinity/.test(line)) return line;
  return line.replace(/"[^"\\]*(?:\\.[^"\\]*)*"|-?\b(?:NaN|Infinity)\b/g, (token) =>
    token.startsWith('"') ? token : 'null',
  );
}

function parseObject(line: string, where: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(withoutNaN(line));
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
