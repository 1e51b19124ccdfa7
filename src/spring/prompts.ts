/**
 * Prompts as the authors of SPRING build them (DaoD/SPRING, example.py; the instruction: arXiv 2405.19670v3, figure 7).
 * The pieces of text are templates that the user can edit; where they stand is the method.
 */
import type { Passage } from '../protocol/passages.ts';
import type { PromptPiece } from '../protocol/comparison.ts';
import { UserError } from '../protocol/errors.ts';
import type { TrainingSettings } from '../protocol/training.ts';

export interface PromptTemplates {
  /** One passage; `{number}` counts from 1, `{text}` is its text. */
  passage: string;
  /** Between the passages and what follows (nothing without passages). */
  separator: string;
  /** The hand-written instruction, in the place of the separator. */
  instruction: string;
  /** `{question}` is what the user asks. */
  question: string;
}

export const defaultTemplates: PromptTemplates = {
  passage: '[{number}] {text}\n',
  separator: '\n',
  instruction:
    'According to the previous relevant passages, please answer the following question. ' +
    'Only return the answer without any other words.\n',
  question: 'Question: {question}\nAnswer:',
};

/**
 * Checks templates from a settings file; what is absent keeps its default.
 * @throws UserError for an unknown name, a value that is not text, or a missing placeholder
 */
export function parseTemplates(value: unknown): PromptTemplates {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UserError(
      'Prompt templates must be a JSON object with passage, separator, instruction or question.',
    );
  }
  for (const [name, text] of Object.entries(value)) {
    if (!(name in defaultTemplates)) throw new UserError(`There is no prompt template "${name}".`);
    if (typeof text !== 'string') throw new UserError(`The prompt template "${name}" must be text.`);
  }
  const templates = { ...defaultTemplates, ...(value as Partial<PromptTemplates>) };
  if (!templates.passage.includes('{text}'))
    throw new UserError('The template "passage" must contain {text}.');
  if (!templates.question.includes('{question}')) {
    throw new UserError('The template "question" must contain {question}.');
  }
  return templates;
}

/** A prompt without passages: the question alone. */
export function questionPrompt(question: string, templates = defaultTemplates): PromptPiece[] {
  return [{ text: questionText(question, templates) }];
}

/** Passages, then the question: standard retrieval-augmented generation. */
export function baselinePrompt(
  question: string,
  passages: readonly Passage[],
  templates = defaultTemplates,
): PromptPiece[] {
  return [{ text: passagesText(passages, templates) + questionText(question, templates) }];
}

/** Passages, the paper's instruction, the question: the fair baseline, since its wording initialises the tokens. */
export function instructionPrompt(
  question: string,
  passages: readonly Passage[],
  templates = defaultTemplates,
): PromptPiece[] {
  return baselinePrompt(question, passages, { ...templates, separator: templates.instruction });
}

/** Passages, k virtual tokens, the question (order [R, T, Q]: methods table 10). */
export function springPrompt(
  question: string,
  passages: readonly Passage[],
  k: number,
  templates = defaultTemplates,
): PromptPiece[] {
  if (k === 0) return baselinePrompt(question, passages, templates);
  const prefix = passages.length === 0 ? [] : [{ text: passagesText(passages, templates) }];
  return [...prefix, { virtualTokens: k }, { text: questionText(question, templates) }];
}

/** What the metadata of an embedding file say of the prompt that it was trained in. */
export const promptFormKey = 'promptForm';
export const chatPromptForm = 'chat-template';

/** What an embedding file says of the prompt form that it was trained in. */
export function promptFormMetadata({
  promptForm,
}: Pick<TrainingSettings, 'promptForm'>): Record<string, string> {
  return promptForm === undefined ? {} : { [promptFormKey]: promptForm };
}

/** Whether an embedding file was trained within the chat template of its model. */
export function isChatTrained(metadata: Readonly<Record<string, string>>): boolean {
  return metadata[promptFormKey] === chatPromptForm;
}

function passagesText(passages: readonly Passage[], templates: PromptTemplates): string {
  if (passages.length === 0) return '';
  const texts = passages.map(({ text }, index) =>
    fill(templates.passage, { number: String(index + 1), text }),
  );
  return texts.join('') + templates.separator;
}

function questionText(question: string, templates: PromptTemplates): string {
  if (question.trim() === '') throw new UserError('The question is empty: type what you want to know.');
  return fill(templates.question, { question });
}

/** Replaces each placeholder once, without looking at what was put in. */
function fill(template: string, values: Readonly<Record<string, string>>): string {
  return template.replaceAll(/\{(\w+)\}/g, (placeholder, name: string) => values[name] ?? placeholder);
}
