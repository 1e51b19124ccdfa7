/** `spring augment`: passages rewritten and asked about, in the file format of PRAG's authors. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { resolveModel } from '../../hub/resolve.ts';
import { augmentPassages, defaultAttempts, type AugmentOptions } from '../../prag/augment.ts';
import {
  formatAugmentedData,
  type AugmentedPassage,
  type AugmentedQuestion,
} from '../../prag/augmentedData.ts';
import { defaultStoreFolder } from '../../prag/adapterStore.ts';
import { chooseGenerator } from '../../prag/passageAdapters.ts';
import { readEvaluationData } from '../../evaluation/questions.ts';
import { retrieveForItems } from '../../evaluation/retrieval.ts';
import { UserError } from '../../protocol/errors.ts';
import { addModelOptions, count, interruptSignal, type ModelOptions } from '../options.ts';
import { readPassagesFile } from '../passages.ts';
import { addEndpointOptions, readPragOptions, type PragCommandOptions } from '../pragOptions.ts';
import { dim } from '../terminal.ts';
import { openDecoder } from '../openDecoder.ts';
import type { RegisterCommand } from '../command.ts';

interface AugmentCommandOptions extends ModelOptions, Pick<PragCommandOptions, 'endpoint' | 'endpointModel'> {
  passages?: string;
  data?: string;
  workspace?: string;
  top: number;
  limit?: number;
  attempts: number;
  seed: number;
  out?: string;
  json?: boolean;
}

export const registerAugment: RegisterCommand = (program) => {
  const command = program
    .command('augment')
    .description('rewrite passages and write questions about them, for Parametric RAG')
    .option('--passages <file>', 'a JSON file of passages: strings or {text, path, startLine, endLine}')
    .option('--data <file>', 'questions as JSON lines; their passages are augmented')
    .option('--workspace <folder>', 'with --data: retrieve the passages from the documents of this folder')
    .option('--top <n>', 'with --data: passages per question', count, 3)
    .option('--limit <n>', 'with --data: only the first questions', count)
    .option(
      '--attempts <n>',
      'times that a model is asked for the questions of a passage',
      count,
      defaultAttempts,
    )
    .option('--seed <n>', 'of the sampling', count, 0)
    .option('--out <file>', 'where the augmented data goes (default: standard output)')
    .option('--json', 'print a JSON document that says what was augmented');
  addEndpointOptions(addModelOptions(command)).action((options: AugmentCommandOptions) => augment(options));
};

async function augment(options: AugmentCommandOptions): Promise<void> {
  const signal = interruptSignal();
  const questions = await readQuestions(options, signal);
  const passages = [...new Set(questions.flatMap((question) => question.passages))];
  const prag = readPragOptions(options);
  const { device, precision, model } = options;
  // an endpoint needs no model here
  const decoder = prag.endpoint
    ? undefined
    : await openDecoder(model, await resolveModel(model), { device, precision, signal });
  const known = new Map<string, AugmentedPassage>();
  const failed: string[] = [];
  const generator = chooseGenerator(decoder, model, prag.endpoint);
  try {
    const cacheFolder = join(defaultStoreFolder(), 'augmentations');
    const { attempts: maximumAttempts, seed } = options;
    const onAsk: AugmentOptions['onAsk'] = (passage, what, attempt) => {
      const place = `Passage ${passages.indexOf(passage) + 1} of ${passages.length}`;
      process.stderr.write(dim(`${place}: ${what}, try ${attempt} of ${maximumAttempts}\n`));
    };
    const settings = { cacheFolder, maximumAttempts, seed, signal, onAsk };
    const progress = augmentPassages(passages, generator, settings);
    for await (const { index, total, augmented, attempts } of progress) {
      if (augmented) known.set(augmented.passage, augmented);
      else failed.push(passages[index]!);
      const outcome = augmented
        ? attempts === 0
          ? 'known'
          : `try ${attempts}`
        : 'left out: no usable questions';
      process.stderr.write(`Passage ${index + 1} of ${total}: ${outcome}\n`);
    }
  } finally {
    await decoder?.dispose();
  }
  await writeData(options, generator.name, questions, known);
  if (options.json) {
    const result = {
      augmentedBy: generator.name,
      passages: passages.length,
      augmented: known.size,
      failed,
      out: options.out,
    };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  }
  if (known.size === 0) {
    throw new UserError(
      `${generator.name} gave no usable questions about any of the ${passages.length} passages: use a larger model, or ` +
        'an endpoint (--endpoint, --endpoint-model).',
    );
  }
}

interface AskedQuestion {
  question: string;
  answers: string[];
  passages: string[];
}

async function readQuestions(options: AugmentCommandOptions, signal: AbortSignal): Promise<AskedQuestion[]> {
  if ((options.passages === undefined) === (options.data === undefined)) {
    throw new UserError('Give either --passages FILE.json or --data FILE.jsonl.');
  }
  if (options.passages !== undefined) {
    const passages = (await readPassagesFile(options.passages)).map(({ text }) => text);
    return [{ question: '', answers: [], passages }];
  }
  const data = (await readEvaluationData(options.data!)).items.slice(0, options.limit);
  const { workspace, top } = options;
  const items = workspace === undefined ? data : await retrieveForItems(data, workspace, top, signal);
  return items.map(({ question, goldAnswers, passages }) => ({
    question,
    answers: goldAnswers,
    passages: passages.slice(0, top).map(({ text }) => text),
  }));
}

async function writeData(
  { out, json }: AugmentCommandOptions,
  modelName: string,
  questions: readonly AskedQuestion[],
  known: ReadonlyMap<string, AugmentedPassage>,
): Promise<void> {
  const entries = questions.map(({ question, answers, passages }, index): AugmentedQuestion => {
    const augmented = passages.flatMap((passage) => known.get(passage) ?? []);
    return { question, answers, augmented, rest: { test_id: index } };
  });
  const text = formatAugmentedData(entries, modelName);
  if (out === undefined) {
    if (!json) process.stdout.write(text);
    return;
  }
  const before = await readFile(out, 'utf8').catch(() => undefined);
  if (before !== text) await writeFile(out, text);
}
