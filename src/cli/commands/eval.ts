/** `spring eval`: scores of several variants over a data set. */
import { basename } from 'node:path';
import { Option } from 'commander';
import { readJsonText } from '../../checkpoint/textFile.ts';
import { checkWidth } from '../../checkpoint/virtualTokens.ts';
import type { Decoder } from '../../decoder/decoder.ts';
import { compareConditions } from '../../evaluation/comparisons.ts';
import {
  conditionKey,
  expandConditions,
  type Condition,
  withEarlierConditions,
} from '../../evaluation/conditions.ts';
import { runExperiment, type Experiment } from '../../evaluation/experiment.ts';
import { PredictionFile, type ExperimentSettings, type Prediction } from '../../evaluation/predictions.ts';
import { readEvaluationData, type EvaluationData, type EvaluationItem } from '../../evaluation/questions.ts';
import { writeResults } from '../../evaluation/report/writeResults.ts';
import { passageQuality, retrieveForItems } from '../../evaluation/retrieval.ts';
import { summarize, summaryTable } from '../../evaluation/summary.ts';
import { resolveModel } from '../../hub/resolve.ts';
import { openTokenFiles, tokenFileOf, type ChosenTokenFile } from '../../methods/chooseVariants.ts';
import type { AnswerBackend } from '../../methods/backend.ts';
import { LocalBackend } from '../../methods/localBackend.ts';
import { planRequest } from '../../methods/prepare.ts';
import { LocalRetriever } from '../../retrieval/localRetriever.ts';
import { CancelledError, UserError } from '../../protocol/errors.ts';
import { defaultEvaluation, methodOf, variantFrom, variantHelp } from '../../protocol/methods.ts';
import { defaultTemplates, parseTemplates } from '../../spring/prompts.ts';
import { ItemAdapters } from '../../evaluation/itemAdapters.ts';
import { extractAnswer, type ExtractionMode } from '../../prag/answerExtraction.ts';
import { describeProgress, openPassageEncoder, readFewShotFile } from '../../prag/passageAdapters.ts';
import type { PassageEncoder } from '../../prag/encode.ts';
import { addPragOptions, readPragOptions, type PragCommandOptions } from '../pragOptions.ts';
import {
  addModelOptions,
  addTokenOption,
  count,
  counts,
  interruptSignal,
  tokenFilesOf,
  type ModelOptions,
} from '../options.ts';
import { openDecoder } from '../openDecoder.ts';
import type { RegisterCommand } from '../command.ts';

interface EvalOptions extends ModelOptions, PragCommandOptions {
  extraction: 'auto' | ExtractionMode;
  data: string;
  workspace?: string;
  tokens?: string[];
  variants?: string;
  k?: number[];
  passages?: number[];
  limit?: number;
  maxNewTokens: number;
  templates?: string;
  out?: string;
  json?: boolean;
}

const retrievedByDefault = 3;

export const registerEval: RegisterCommand = (program) => {
  const command = program
    .command('eval')
    .description('exact match, F1, accuracy and length of the answers of several variants over a data set')
    .requiredOption(
      '--data <file>',
      'questions as JSON lines: {question, target, ret_passages} or FlashRAG’s',
    )
    .option('--workspace <folder>', 'retrieve the passages from the documents of this folder')
    .option('--variants <list>', `${variantHelp()}; without K or FILE: every k, every file`)
    .option(
      '--k <list>',
      'numbers of virtual tokens, such as 1,10,50 (default: all tokens of the file)',
      counts,
    )
    .option(
      '--passages <list>',
      'passages per question at most, such as 0,1,3,5 (default: all given)',
      counts,
    )
    .option('--limit <n>', 'only the first questions', count)
    .option('--max-new-tokens <n>', 'length of an answer at most', count, 50)
    .option('--templates <file>', 'a JSON file of prompt templates')
    .option('--out <folder>', 'write predictions (JSON lines), summary and report; continues what is there')
    .option('--json', 'print one JSON document; scores are shares of 1');
  command.addOption(
    new Option(
      '--extraction <how>',
      'what of an answer is judged (auto: as PRAG’s authors cut it, in its prompts)',
    )
      .choices(['auto', 'whole', 'direct', 'chainOfThought'])
      .default('auto'),
  );
  addPragOptions(addModelOptions(addTokenOption(command))).action((options: EvalOptions) =>
    evaluate(options),
  );
};

async function evaluate(options: EvalOptions): Promise<void> {
  const signal = interruptSignal();
  const data = await readEvaluationData(options.data);
  if (data.unanswered.length > 0) {
    const lines = data.unanswered.slice(0, 10).join(', ') + (data.unanswered.length > 10 ? ', …' : '');
    process.stderr.write(
      `Left out, because they have no gold answer: ${data.unanswered.length} (lines ${lines}).\n`,
    );
  }
  const files = await openTokenFiles(tokenFilesOf(options));
  const conditions = chooseConditions(options, data, files);
  const items = await chooseItems(options, data, conditions, signal);
  const folder = await resolveModel(options.model);
  const { device, precision } = options;
  const decoder = await openDecoder(options.model, folder, { device, precision, signal });
  const fewShot = await readFewShotFile(options.fewShot);
  const encoder = conditions.some(({ variant }) => methodOf(variantFrom(variant)).adapter)
    ? await openPassageEncoder(decoder, options.model, readPragOptions(options), fewShot)
    : undefined;
  try {
    checkTokens(conditions, files, decoder);
    const usedFiles = filesOf(conditions, files);
    const adapters = encoder && new ItemAdapters(encoder, items);
    await encodePassages(adapters, conditions, signal);
    const experiment = await setUp(options, {
      items,
      conditions,
      files,
      adapters,
      fewShot,
      signal,
    });
    const settings = describe(options, data, usedFiles, conditions, decoder, encoder);
    const backend = new LocalBackend(decoder, { model: options.model, folder });
    const predictions = await run(backend, experiment, settings, options, signal);
    // The report is of all that the folder holds about these questions, not of this run alone.
    const reported = withEarlierConditions(conditions, predictions);
    const summaries = summarize(reported, predictions);
    const without = adapters?.withoutAdapter.size ?? 0;
    if (without > 0) {
      process.stderr.write(
        `${without} questions were asked without an adapter: none of their passages could be encoded.\n`,
      );
    }
    const { file, sha256 } = data;
    const result = {
      model: options.model,
      device: decoder.device,
      precision: decoder.precision,
      tokens: usedFiles[0] ? fileResult(usedFiles[0]) : null,
      ...(usedFiles.length > 1 && {
        tokenFiles: usedFiles.map((used) => ({ label: used.label, ...fileResult(used) })),
      }),
      data: { path: file, sha256 },
      items: items.length,
      unanswered: data.unanswered.length,
      variants: summaries,
      comparisons: compareConditions(predictions),
      retrieval: passageQuality(items, reported),
    };
    if (options.out !== undefined)
      await writeResults(options.out, result, settings, reported, predictions, items);
    process.stdout.write(
      options.json ? `${JSON.stringify(result, null, 2)}\n` : `${summaryTable(summaries)}\n`,
    );
  } finally {
    await encoder?.dispose();
    await decoder.dispose();
  }
}

async function encodePassages(
  adapters: ItemAdapters | undefined,
  conditions: readonly Condition[],
  signal: AbortSignal,
): Promise<void> {
  if (!adapters) return;
  for await (const progress of adapters.encodeAll(conditions, signal)) {
    if (progress.type === 'failed' || (progress.type === 'encoded' && !progress.fromStore)) {
      process.stderr.write(`${describeProgress(progress)}\n`);
    }
  }
}

/** Every prediction of the experiment: those that the folder has already, and new ones, which it gets at once. */
async function run(
  backend: AnswerBackend,
  experiment: Experiment,
  settings: ExperimentSettings,
  { out }: EvalOptions,
  signal: AbortSignal,
): Promise<Prediction[]> {
  await using file = out === undefined ? undefined : await PredictionFile.open(out, settings);
  const wantedItems = new Set(experiment.items.map(({ id }) => id));
  const wantedConditions = new Set(experiment.conditions.map(conditionKey));
  const earlier = file?.earlier ?? [];
  const predictions = earlier.filter(({ item }) => wantedItems.has(item));
  if (predictions.length < earlier.length) {
    const others = new Set(earlier.map(({ item }) => item).filter((item) => !wantedItems.has(item)));
    process.stderr.write(
      `The folder has answers to ${others.size} other questions; the report is of the ${wantedItems.size} asked for.\n`,
    );
  }
  const total = experiment.items.length * experiment.conditions.length;
  const isWanted = (prediction: Prediction): boolean => wantedConditions.has(conditionKey(prediction));
  let done = predictions.filter(isWanted).length;
  if (done > 0) process.stderr.write(`${done} of ${total} answers are there already.\n`);
  try {
    for await (const batch of runExperiment(backend, { ...experiment, done: predictions }, signal)) {
      await file?.append(batch);
      predictions.push(...batch);
      done += batch.length;
      showProgress(done, total);
    }
  } catch (error) {
    if (!(error instanceof CancelledError) || out === undefined) throw error;
    throw new UserError(`Cancelled after ${done} of ${total} answers; the same command goes on.`);
  }
  return predictions;
}

function chooseConditions(
  options: EvalOptions,
  data: EvaluationData,
  files: readonly ChosenTokenFile[],
): Condition[] {
  const usual = defaultEvaluation.filter((method) => files.length > 0 || !methodOf({ method }).rows);
  const given = Math.max(...data.items.map(({ passages }) => passages.length));
  return expandConditions(
    options.variants ?? usual.join(','),
    options.k ?? [],
    options.passages ?? [options.workspace === undefined ? given : retrievedByDefault],
    files,
  );
}

async function chooseItems(
  options: EvalOptions,
  data: EvaluationData,
  conditions: readonly Condition[],
  signal: AbortSignal,
): Promise<EvaluationItem[]> {
  const items = data.items.slice(0, options.limit);
  const most = Math.max(...conditions.map(({ passages }) => passages));
  if (options.workspace !== undefined && items.some(({ passages }) => passages.length > 0)) {
    process.stderr.write(
      `The passages of ${data.file} are not used: --workspace retrieves others from ${options.workspace}.\n`,
    );
  }
  if (options.workspace !== undefined && most === 0) return items;
  if (options.workspace !== undefined) {
    using retriever = LocalRetriever.open(options.workspace);
    return await retrieveForItems(items, retriever, most, signal);
  }
  const wanted = options.passages === undefined || most > 0;
  if (wanted && items.every(({ passages }) => passages.length === 0)) {
    throw new UserError(
      `${data.file} has no passages: give a folder of documents to retrieve them from with --workspace, or ask ` +
        'without (--passages 0).',
    );
  }
  return items;
}

/** Checks what the conditions ask of the embedding files, before anything is answered. */
function checkTokens(
  conditions: readonly Condition[],
  files: readonly ChosenTokenFile[],
  decoder: Decoder,
): void {
  const { hiddenSize } = decoder.checkpoint.config;
  for (const { variant, k } of conditions) {
    if (k === 0) continue;
    const file = tokenFileOf(variantFrom(variant), files);
    if (!file) throw new UserError('Give the file of virtual tokens with --tokens.');
    checkWidth(file.tokens, hiddenSize);
  }
}

interface SetUp {
  items: readonly EvaluationItem[];
  conditions: readonly Condition[];
  files: readonly ChosenTokenFile[];
  adapters: ItemAdapters | undefined;
  fewShot: string | undefined;
  signal: AbortSignal;
}

async function setUp(options: EvalOptions, setup: SetUp): Promise<Experiment> {
  const { items, conditions, files, fewShot, signal } = setup;
  const templates = options.templates
    ? parseTemplates(await readJsonText(options.templates))
    : defaultTemplates;
  return {
    items,
    conditions,
    settings: { maxNewTokens: options.maxNewTokens, overflow: 'truncate-left' },
    request: async (item, condition) => {
      const { question } = item;
      const passages = item.passages.slice(0, condition.passages);
      const adapters = (await setup.adapters?.adaptersOf(item, condition, signal)) ?? {};
      const virtualTokens = tokenFileOf(variantFrom(condition.variant), files)?.tokens;
      const input = { question, passages, virtualTokens, templates, adapters, fewShot };
      return planRequest(condition.variant, input);
    },
    extractAnswer: (text, { variant }) =>
      extractAnswer(text, extractionOf(options, methodOf(variantFrom(variant)).template === 'parametric')),
  };
}

/** PRAG's prompts let the model go on behind its answer, so its authors cut; SPRING's answers end by themselves. */
function extractionOf({ extraction, fewShot }: EvalOptions, isPrag: boolean): ExtractionMode {
  if (extraction !== 'auto') return extraction;
  if (!isPrag) return 'whole';
  return fewShot === undefined ? 'direct' : 'chainOfThought';
}

/** What must not change between the parts of a resumed experiment. */
function describe(
  options: EvalOptions,
  data: EvaluationData,
  files: readonly ChosenTokenFile[],
  conditions: readonly Condition[],
  decoder: Decoder,
  encoder: PassageEncoder | undefined,
): ExperimentSettings {
  return {
    model: decoder.checkpoint.path,
    weightBytes: decoder.checkpoint.weightBytes,
    device: decoder.device,
    precision: decoder.precision,
    // names are for readers of the report; the hashes tell data and tokens apart
    data: basename(data.file),
    dataSha256: data.sha256,
    tokens: files.map(({ tokens }) => basename(tokens.path)).join(', ') || null,
    tokensSha256: files.map(({ sha256 }) => sha256).join(', ') || null,
    workspace: options.workspace ?? null,
    maxNewTokens: options.maxNewTokens,
    templates: options.templates ?? null,
    extraction: options.extraction,
    fewShot: options.fewShot ?? null,
    adapters: encoder?.recipeKey ?? null,
    augmented: options.augmented ?? null,
    // they were another question's once
    ...(carriesUnrelated(conditions) && { unrelatedPassages: 'fixed' }),
  };
}

function carriesUnrelated(conditions: readonly Condition[]): boolean {
  return conditions.some(({ variant }) => methodOf(variantFrom(variant)).adapter === 'unrelated');
}

/** The embedding files that conditions use, in the order given. */
function filesOf(conditions: readonly Condition[], files: readonly ChosenTokenFile[]): ChosenTokenFile[] {
  const used = new Set(
    conditions.filter(({ k }) => k > 0).map(({ variant }) => tokenFileOf(variantFrom(variant), files)),
  );
  return files.filter((file) => used.has(file));
}

function fileResult({ tokens: { path, sha256, count: rows } }: ChosenTokenFile): object {
  return { path, sha256, count: rows };
}

function showProgress(done: number, total: number): void {
  if (process.stderr.isTTY)
    process.stderr.write(`\r${done} of ${total} answers${done === total ? '\n' : ''}`);
}
