/** Questions and answers in what a model wrote. Models seldom write faultless JSON. */
import { jsonrepair } from 'jsonrepair';

export interface QuestionAnswer {
  question: string;
  answer: string;
  fullAnswer: string;
}

/** How many the authors use of a passage. */
export const questionsPerPassage = 3;
/** A model that does not stop must not keep the repair busy. */
const maximumLength = 20_000;

/**
 * The first three complete questions of a list that a model wrote: from the first bracket on, repaired. What comes
 * after the list, incomplete elements and code fences do no harm.
 * @returns undefined if there are fewer than three
 */
export function readQuestionAnswers(text: string): QuestionAnswer[] | undefined {
  const start = text.indexOf('[');
  if (start < 0) return undefined;
  const list = text.slice(start, start + maximumLength);
  const end = list.lastIndexOf(']');
  // the part up to the last bracket first: what a model chats behind its list would spoil the repair
  for (const candidate of end < 0 ? [list] : [list.slice(0, end + 1), list]) {
    const complete = parseList(candidate).flatMap((entry) => readEntry(entry) ?? []);
    if (complete.length >= questionsPerPassage) return complete.slice(0, questionsPerPassage);
  }
  return undefined;
}

function parseList(text: string): unknown[] {
  try {
    const value: unknown = JSON.parse(jsonrepair(text));
    return Array.isArray(value) ? value.flat() : [];
  } catch {
    return [];
  }
}

/** Answers that are numbers, lists or null become text, as the authors make them. */
function readEntry(entry: unknown): QuestionAnswer | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined;
  const { question, answer, full_answer: fullAnswer } = entry as Record<string, unknown>;
  if (answer === undefined) return undefined;
  if (typeof question !== 'string' || typeof fullAnswer !== 'string') return undefined;
  if (question.trim() === '' || fullAnswer.trim() === '') return undefined;
  const text = answerText(answer);
  return text === undefined ? undefined : { question, answer: text, fullAnswer };
}

function answerText(answer: unknown): string | undefined {
  if (answer === null) return 'Unknown';
  if (Array.isArray(answer)) return answer.map((part: unknown) => answerText(part) ?? '').join(', ');
  if (typeof answer === 'string') return answer;
  return typeof answer === 'number' || typeof answer === 'boolean' ? String(answer) : undefined;
}
