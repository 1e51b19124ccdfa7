/** Augmenting passages: each in other words, and three questions about it with their answers. */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { readSmallFile, writeAtomically } from '../checkpoint/files.ts';
import { throwIfCancelled } from '../protocol/errors.ts';
import { longText, parseValidated } from '../protocol/schema.ts';
import type { AugmentedPassage } from './augmentedData.ts';
import { withoutThoughts } from './chatAnswer.ts';
import type { TextGenerator } from './generators.ts';
import { questionAnswerPrompt, rewritePrompt } from './prompts.ts';
import { questionsPerPassage, readQuestionAnswers } from './questionAnswers.ts';

/** What augmenting yields, one per passage, in order. */
export interface AugmentProgress {
  index: number;
  total: number;
  /** Undefined if the model gave no usable questions: the authors leave such passages out, too. */
  augmented: AugmentedPassage | undefined;
  /** Times that the model was asked for questions; 0: from the cache. */
  attempts: number;
}

export interface AugmentOptions {
  /** Where results are kept, by content; without it every run asks the model again. */
  cacheFolder?: string | undefined;
  /** Times that a model is asked for the questions of a passage (the authors: 100). */
  maximumAttempts?: number;
  seed?: number;
  signal?: AbortSignal | undefined;
  /** Called before the model is asked: for the rewrite, then for the questions. */
  onAsk?: (passage: string, what: 'rewrite' | 'questions', attempt: number) => void;
}

/** Ten tries find out that a model cannot do it; a hundred only take longer. */
export const defaultAttempts = 10;

/**
 * Augments passages one after the other. Results are cached by passage, model (and where it runs) and seed as soon as they are there.
 * @throws CancelledError; UserError from the endpoint
 */
export async function* augmentPassages(
  passages: readonly string[],
  generator: TextGenerator,
  options: AugmentOptions = {},
): AsyncGenerator<AugmentProgress> {
  for (const [index, passage] of passages.entries()) {
    throwIfCancelled(options.signal);
    yield { index, total: passages.length, ...(await augmentPassage(passage, generator, options)) };
  }
}

async function augmentPassage(
  passage: string,
  generator: TextGenerator,
  options: AugmentOptions,
): Promise<Pick<AugmentProgress, 'augmented' | 'attempts'>> {
  const { cacheFolder, maximumAttempts = defaultAttempts, seed = 0, signal } = options;
  const file = cacheFolder && join(cacheFolder, `${augmentationKey(passage, generator.identity, seed)}.json`);
  const known = file === undefined ? undefined : await readCached(file, passage);
  if (known) return { augmented: known, attempts: 0 };
  const rewrite = await rewriteOf(passage, generator, options);
  for (let attempt = 1; rewrite !== '' && attempt <= maximumAttempts; attempt++) {
    throwIfCancelled(signal);
    options.onAsk?.(passage, 'questions', attempt);
    const text = await generator.generate(questionAnswerPrompt(passage), seed + attempt, signal);
    const questionAnswers = readQuestionAnswers(withoutThoughts(text));
    if (!questionAnswers) continue;
    const augmented = { passage, rewrite, questionAnswers };
    if (file !== undefined) {
      await mkdir(cacheFolder!, { recursive: true });
      await writeAtomically(file, (handle) => handle.writeFile(`${JSON.stringify(augmented, null, 2)}\n`));
    }
    return { augmented, attempts: attempt };
  }
  return { augmented: undefined, attempts: maximumAttempts };
}

/** The passage in other words; empty if the model says nothing, however often it is asked. */
async function rewriteOf(
  passage: string,
  generator: TextGenerator,
  { maximumAttempts = defaultAttempts, seed = 0, signal, onAsk }: AugmentOptions,
): Promise<string> {
  for (let attempt = 1; attempt <= maximumAttempts; attempt++) {
    throwIfCancelled(signal);
    onAsk?.(passage, 'rewrite', attempt);
    const text = withoutThoughts(
      await generator.generate(rewritePrompt(passage), seed + attempt - 1, signal),
    );
    if (text !== '') return text;
  }
  return '';
}

/** Identifies what a model makes of a passage. */
function augmentationKey(passage: string, model: string, seed: number): string {
  return createHash('sha256')
    .update(JSON.stringify([passage, model, seed]))
    .digest('hex');
}

const mostCachedBytes = 16 * 1024 ** 2;
const questionAnswer = v.object({ question: longText, answer: longText, fullAnswer: longText });
const cachedSchema: v.GenericSchema<unknown, AugmentedPassage> = v.object({
  passage: longText,
  rewrite: v.pipe(longText, v.minLength(1)),
  questionAnswers: v.pipe(v.array(questionAnswer), v.minLength(questionsPerPassage), v.maxLength(1000)),
});

/** A cached result; undefined if there is none or the file is damaged. */
async function readCached(file: string, passage: string): Promise<AugmentedPassage | undefined> {
  try {
    const value = parseValidated(cachedSchema, await readSmallFile(file, mostCachedBytes), file);
    return value.passage === passage ? value : undefined;
  } catch {
    return undefined;
  }
}
