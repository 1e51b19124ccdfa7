/** `spring ask`: a question answered in several variants, side by side. */
import type { RegisterCommand } from '../command.ts';
import { readJsonText } from '../../checkpoint/textFile.ts';
import { Option } from 'commander';
import { openCheckpoint } from '../../checkpoint/checkpoint.ts';
import { readVirtualTokens } from '../../checkpoint/virtualTokens.ts';
import { ComparisonEngine, type Overflow } from '../../engine/comparison.ts';
import { modelFacts } from '../../hub/backboneMetadata.ts';
import { environmentCatalogue } from '../../hub/environmentCatalogue.ts';
import { fitOf } from '../../hub/fit.ts';
import { resolveTokenFile } from '../../hub/resolve.ts';
import type { Answer, LoadedModel, VariantId, VariantPlan } from '../../protocol/comparison.ts';
import { UserError } from '../../protocol/errors.ts';
import type { Passage } from '../../protocol/passages.ts';
import { parseTemplates } from '../../spring/prompts.ts';
import { parseVariants } from '../../evaluation/variants.ts';
import {
  addModelOptions,
  addSamplingOptions,
  count,
  interruptSignal,
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
  tokens?: string;
  k?: number;
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
    .option('--tokens <file>', 'virtual tokens: a .pt or .safetensors file, or a name from `spring models`')
    .option('-k <n>', 'number of virtual tokens (default: all of the file)', count)
    .option(
      '--variants <list>',
      'no-rag, baseline, prompt, spring:K, icl, prag, prag+rag, placebo, spring:K+prag',
    )
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
  addPragOptions(addSamplingOptions(addModelOptions(command))).action(
    (question: string, options: AskOptions) => ask(question, options),
  );
};

async function ask(question: string, options: AskOptions): Promise<void> {
  const start = performance.now();
  const signal = interruptSignal();
  if (question.trim() === '') throw new UserError('The question is empty: type what you want to know.');
  const tokenFile = options.tokens ?? (options.model === 'demo' ? 'spring-demo' : null);
  const variants = options.variants
    ? parseVariants(options.variants)
    : await defaultVariants(options, tokenFile);
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
  let plans: VariantPlan[] = [];
  let model: LoadedModel | undefined;
  try {
    const request = {
      ...options,
      question,
      passages,
      tokenFile,
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
        if (tokenFile !== null) await warnOfMisfit(tokenFile, model);
      }
      if (event.type === 'prepared') {
        plans = event.variants;
        view?.start(plans);
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
  const result = {
    question,
    model,
    passages: passages.map((passage, index) => ({ index: index + 1, ...passage })),
    variants: plans.map(({ id, label, k }) => ({ id, label, k, ...answers.get(id) })),
    timings: { retrievalMs, totalMs: performance.now() - start },
  };
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
}

/** The baseline, and SPRING with the first k tokens of the file if there is one. */
async function defaultVariants(options: AskOptions, tokenFile: string | null): Promise<VariantId[]> {
  if (tokenFile === null) return ['baseline'];
  const k = options.k ?? (await readVirtualTokens(await resolveTokenFile(tokenFile))).count;
  return ['baseline', `spring:${k}`];
}

/** A file of the right width that was trained for another model gives wrong answers silently: say so. */
async function warnOfMisfit(tokenFile: string, { model, folder }: LoadedModel): Promise<void> {
  const tokens = await readVirtualTokens(await resolveTokenFile(tokenFile));
  const facts = modelFacts(model, folder, await openCheckpoint(folder));
  const { fit, message } = fitOf(tokens, await facts, environmentCatalogue());
  if (fit === 'unknown-backbone') process.stderr.write(`Note: ${message}\n`);
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

  start(plans: readonly VariantPlan[]): void {
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

  end(): void {
    this.region.done();
  }

  private draw(): void {
    this.region.update(layout([...this.cells.values()], terminalWidth()));
  }
}
