/**
 * Augmented passages in the authors' file format (data_aug of oneal2000/PRAG): a JSON list of questions, each with
 * `passages` and `augment`, a list of `{pid, passage, MODEL_rewrite, MODEL_qa}` in which MODEL is the name of the model
 * that wrote them.
 */
import { UserError } from '../protocol/errors.ts';
import type { QuestionAnswer } from './questionAnswers.ts';

/** A passage in other words and asked about. */
export interface AugmentedPassage {
  passage: string;
  rewrite: string;
  questionAnswers: QuestionAnswer[];
}

/** A question of a data set with its augmented passages. */
export interface AugmentedQuestion {
  question: string;
  answers: string[];
  augmented: AugmentedPassage[];
  /** Fields that are not ours (test_id, qid, type, golden_passages …); they are written back as they were. */
  rest: Readonly<Record<string, unknown>>;
}

type JsonObject = Record<string, unknown>;

/**
 * Reads augmented data. Passages whose questions could not be made are missing from such files; so they are here.
 * @param modelName whose augmentations to take where a file has several; default: the first
 * @throws UserError that names the entry that is wrong
 */
export function parseAugmentedData(json: unknown, where: string, modelName?: string): AugmentedQuestion[] {
  if (!Array.isArray(json)) throw new UserError(`${where} must be a JSON list of questions.`);
  return json.map((entry: unknown, index) => {
    const place = `${where}, entry ${index + 1}`;
    if (!isObject(entry)) throw new UserError(`${place} is not an object.`);
    const { question = '', answer = [], augment, ...others } = entry;
    // written anew from the augmented passages
    const rest = Object.fromEntries(Object.entries(others).filter(([name]) => name !== 'passages'));
    const answers: unknown[] = Array.isArray(answer) ? answer : [answer];
    if (typeof question !== 'string' || !answers.every((text) => typeof text === 'string')) {
      throw new UserError(`${place}: "question" must be text, "answer" text or a list of texts.`);
    }
    if (!Array.isArray(augment)) throw new UserError(`${place} has no list "augment".`);
    const augmented = augment.map((passage: unknown, number) =>
      readPassage(passage, `${place}, passage ${number + 1}`, modelName),
    );
    return { question, answers, augmented, rest };
  });
}

/** Augmented data as the authors' programs read it. */
export function formatAugmentedData(questions: readonly AugmentedQuestion[], modelName: string): string {
  const entries = questions.map(({ question, answers, augmented, rest }) => ({
    ...rest,
    question,
    answer: answers.length === 1 ? answers[0] : answers,
    augment: augmented.map(({ passage, rewrite, questionAnswers }, pid) => ({
      pid,
      passage,
      [`${modelName}_rewrite`]: rewrite,
      [`${modelName}_qa`]: questionAnswers.map(({ question: asked, answer, fullAnswer }) => ({
        question: asked,
        answer,
        full_answer: fullAnswer,
      })),
    })),
    passages: augmented.map(({ passage }) => passage),
  }));
  return `${JSON.stringify(entries, null, 4)}\n`;
}

function readPassage(value: unknown, place: string, modelName: string | undefined): AugmentedPassage {
  if (!isObject(value) || typeof value['passage'] !== 'string') {
    throw new UserError(`${place} has no text "passage".`);
  }
  const names = Object.keys(value)
    .filter((key) => key.endsWith('_qa'))
    .map((key) => key.slice(0, -'_qa'.length));
  const name = modelName ?? names[0];
  const rewrite = value[`${name}_rewrite`];
  const pairs = value[`${name}_qa`];
  if (name === undefined || typeof rewrite !== 'string' || !Array.isArray(pairs)) {
    throw new UserError(
      `${place} has no "${name ?? 'MODEL'}_rewrite" and "${name ?? 'MODEL'}_qa"; it has augmentations of: ` +
        `${names.length === 0 ? 'no model' : names.join(', ')}.`,
    );
  }
  const questionAnswers = pairs.map((pair: unknown, index) => {
    const { question, answer, full_answer: fullAnswer } = isObject(pair) ? pair : {};
    if (typeof question !== 'string' || typeof answer !== 'string') {
      throw new UserError(`${place}: question ${index + 1} lacks the text "question" or "answer".`);
    }
    return { question, answer, fullAnswer: typeof fullAnswer === 'string' ? fullAnswer : answer };
  });
  return { passage: value['passage'], rewrite, questionAnswers };
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
