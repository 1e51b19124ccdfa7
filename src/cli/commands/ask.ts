/** `spring ask`: a question answered in several variants, side by side. */
import type { RegisterCommand } from '../command.ts';
import { readJsonText } from '../../checkpoint/textFile.ts';
import { Option } from 'commander';
import { openCheckpoint } from '../../checkpoint/checkpoint.ts';
import { ComparisonEngine, type Overflow } from '../../engine/comparison.ts';
import { modelFacts } from '../../hub/backboneMetadata.ts';
import { environmentCatalogue } from '../../hub/environmentCatalogue.ts';
import { fitOf } from '../../hub/fit.ts';
import {
  openTokenFiles,
  parseVariants,
  writeOut,
  type ChosenTokenFile,
} from '../../methods/chooseVariants.ts';
import type { Answer, LoadedModel, UnavailableVariant, VariantPlan } from '../../protocol/comparison.ts';
import { UserError } from '../../protocol/errors.ts';
import {
  referenceMethod,
  rowsMethod,
  variantHelp,
  type Variant,
  type VariantId,
} from '../../protocol/methods.ts';
import type { Passage } from '../../protocol/passages.ts';
import { parseTemplates } from '../../spring/prompts.ts';
import {
  addModelOptions,
  addSamplingOptions,
  addTokenOption,
  count,
  counts,
  interruptSignal,
  tokenFilesOf,
  type ModelOptions,
  type SamplingOptions,
} from '../options.ts';
import { readPassagesFile, retrieveFromWorkspace } from '../passages.ts';
import { addPragOptions, readPragOptions, type PragCommandOptions } from '../pragOptions.ts';
import {
  bold,
  dim,
  indented,
  layout,
  LiveRegion,
  printable,
  ProgressLine,
  terminalWidth,
  type Cell,
} from '../terminal.ts';

interface AskOptions extends ModelOptions, SamplingOptions, PragCommandOptions {
  workspace?: string;
  passages?: string;
  top?: number;
  tokens?: string[];
  k?: number[];
  variants?: string;
  templates?: string;
  overflow: Overflow;
  json?: boolean;
}

export const registerAsk: RegisterCommand = (program) => {
  const command = program
    .command('ask <question>')
    .description('answer a question from passages, with and without virtual tokens')
    .option('--workspace <folder>', 'retrieve the passages from the documents of this folder')
    .option('--passages <file>', 'a JSON file of passages: strings or {text, path, startLine, endLine}')
    .option('--top <n>', 'number of passages (default: 3 of a workspace, all of a file)', count)
    .option(
      '-k <list>',
      'numbers of virtual tokens, such as 10 or 1,10,50 (default: all of the file)',
      counts,
    )
    .option('--variants <list>', `${variantHelp()}; without K or FILE: those of -k, every file`)
    .option(
      '--templates <file>',
      'a JSON file of prompt templates: passage, separator, instruction, question',
    )
    .addOption(
      new Option('--overflow <what>', 'a prompt that is longer than the context')
        .choices(['refuse', 'truncate-left', 'keep-best'])
        .default('refuse'),
    )
    .option('--json', 'print one JSON document');
  addPragOptions(addSamplingOptions(addModelOptions(addTokenOption(command)))).action(
    (question: string, options: AskOptions) => ask(question, options),
  );
};

async function ask(question: string, options: AskOptions): Promise<void> {
  const start = performance.now();
  const signal = interruptSignal();
  if (question.trim() === '') throw new UserError('The question is empty: type what you want to know.');
  const files = await openTokenFiles(tokenFilesOf(options));
  const variants =
    options.variants === undefined
      ? writeOut(usualVariants(files), files, options.k)
      : parseVariants(options.variants, { files, k: options.k });
  const templates = options.templates ? parseTemplates(await readJsonText(options.templates)) : undefined;
  const passages = await findPassages(question, options, signal);
  const retrievalMs = performance.now() - start;
  const view = options.json ? undefined : new AnswersView();
  view?.showPassages(question, passages);

  const tell = (message: string): void => void process.stderr.write(`${message}\n`);
  const loading = new ProgressLine();
  const engine = new ComparisonEngine({
    onLoading: (message) => loading.update(message),
    onModelChanged: (_, message) => tell(message),
  });
  const answers = new Map<VariantId, Answer>();
  const unavailable = new Map<VariantId, UnavailableVariant>();
  let plans: Pick<VariantPlan, 'id' | 'label' | 'k'>[] = [];
  let model: LoadedModel | undefined;
  try {
    const request = {
      ...options,
      question,
      passages,
      tokenFile: files[0]?.path ?? null,
      tokenFiles: Object.fromEntries(files.map(({ label, path }) => [label, path])),
      variants,
      settings: samplingSettings(options),
      prag: readPragOptions(options),
    };
    const { overflow } = options;
    for await (const event of engine.compare(request, {
      signal,
      overflow,
      ...(templates && { templates }),
    })) {
      if (event.type === 'loaded') {
        model = event.model;
        if (model.warning !== undefined) tell(`Note: ${model.warning}`);
        await warnOfMisfit(files, model);
      }
      if (event.type === 'unavailable') unavailable.set(event.variant, event);
      if (event.type === 'prepared') {
        const others = [...unavailable.values()].map(({ variant, label, k }) => ({ id: variant, label, k }));
        const all = [...event.variants, ...others];
        plans = variants.map((wanted) => all.find(({ id }) => id === wanted)!);
        view?.start(plans);
        for (const { variant, message } of unavailable.values()) view?.explain(variant, message);
      }
      if (event.type === 'token') view?.addText(event.variant, event.token.text);
      if (event.type === 'answer') {
        answers.set(event.variant, event.answer);
        view?.finish(event.variant, event.answer);
      }
    }
  } finally {
    view?.end();
    await engine.unload();
  }
  if (!options.json) return;
  for (const { label, message } of unavailable.values()) tell(`${label}: ${message}`);
  const result = {
    question,
    model,
    passages: passages.map((passage, index) => ({ index: index + 1, ...passage })),
    variants: plans.map(({ id, label, k }) => {
      const problem = unavailable.get(id)?.message;
      return { id, label, k, ...(problem === undefined ? answers.get(id) : { problem }) };
    }),
    timings: { retrievalMs, totalMs: performance.now() - start },
  };
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
}

/** The reference, and virtual tokens if there is a file of them. */
function usualVariants(files: readonly ChosenTokenFile[]): Variant[] {
  return [{ method: referenceMethod }, ...(files.length > 0 ? [{ method: rowsMethod }] : [])];
}

/** A file of the right width that was trained for another model gives wrong answers silently: say so. */
async function warnOfMisfit(
  files: readonly ChosenTokenFile[],
  { model, folder }: LoadedModel,
): Promise<void> {
  if (files.length === 0) return;
  const facts = await modelFacts(model, folder, await openCheckpoint(folder));
  for (const { tokens } of files) {
    const { fit, message } = fitOf(tokens, facts, environmentCatalogue());
    if (fit === 'unknown-backbone') process.stderr.write(`Note: ${message}\n`);
  }
}

async function findPassages(question: string, options: AskOptions, signal: AbortSignal): Promise<Passage[]> {
  if (options.workspace !== undefined && options.passages !== undefined) {
    throw new UserError('Give either --workspace or --passages, not both.');
  }
  if (options.passages !== undefined) return (await readPassagesFile(options.passages)).slice(0, options.top);
  if (options.workspace === undefined) {
    throw new UserError(
      'Where are the passages? Give --workspace FOLDER to retrieve them, or --passages FILE.json.',
    );
  }
  const { passages, notices } = await retrieveFromWorkspace(
    options.workspace,
    question,
    options.top ?? 3,
    signal,
  );
  for (const notice of notices) process.stderr.write(`${printable(notice)}\n`);
  if (passages.length === 0) process.stderr.write('No passage matches the question.\n');
  return passages;
}

export function samplingSettings(options: SamplingOptions): SamplingOptions {
  const { maxNewTokens, temperature, topP, topK, repetitionPenalty, seed, stop } = options;
  return { maxNewTokens, temperature, topP, topK, repetitionPenalty, seed, ...(stop && { stop }) };
}

/** The answers on the terminal, side by side where it is wide. */
class AnswersView {
  private readonly region = new LiveRegion();
  private readonly cells = new Map<VariantId, Cell>();

  showPassages(question: string, passages: readonly Passage[]): void {
    const shown = passages.map((passage, index) => {
      const { path, startLine, endLine, score } = passage;
      const place =
        path === undefined ? '' : ` ${path}${startLine === undefined ? '' : `:${startLine}-${endLine}`}`;
      const points = score === undefined ? '' : dim(`  score ${score.toFixed(2)}`);
      return `${bold(`[${index + 1}]`)}${place}${points}\n${indented(printable(passage.text), '    ')}`;
    });
    process.stdout.write(`${bold('Question')}  ${printable(question)}\n\n${[...shown, ''].join('\n')}\n`);
  }

  start(plans: readonly Pick<VariantPlan, 'id' | 'label'>[]): void {
    for (const { id, label } of plans) this.cells.set(id, { title: label, text: '', footer: '…' });
    this.draw();
  }

  addText(id: VariantId, text: string): void {
    this.cells.get(id)!.text += printable(text);
    this.draw();
  }

  finish(id: VariantId, answer: Answer): void {
    const { timings, tokenIds, truncatedTokens } = answer;
    const seconds = ((timings.prefillMs + timings.decodeMs) / 1000).toFixed(1);
    const cut = truncatedTokens > 0 ? ` · prompt cut by ${truncatedTokens}` : '';
    const footer = `${tokenIds.length} tokens · ${seconds} s · ${answer.stopReason}${cut}`;
    Object.assign(this.cells.get(id)!, { text: printable(answer.text).trim() || '(empty answer)', footer });
    this.draw();
  }

  /** Instead of an answer. */
  explain(id: VariantId, problem: string): void {
    Object.assign(this.cells.get(id)!, { text: printable(problem), footer: 'not asked' });
    this.draw();
  }

  end(): void {
    this.region.done();
  }

  private draw(): void {
    this.region.update(layout([...this.cells.values()], terminalWidth()));
  }
}
