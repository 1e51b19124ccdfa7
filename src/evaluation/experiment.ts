/** Answers every question of a data set under every condition, many prompts in one batch, and scores the answers. */
import { strip } from '../checkpoint/pythonText.ts';
import { contextLength } from '../checkpoint/ropeConfig.ts';
import type { ModelConfig } from '../checkpoint/types.ts';
import type { Decoder } from '../decoder/decoder.ts';
import type { Generation, GenerationSettings, Prompt } from '../decoder/types.ts';
import { conditionKey, type Condition } from './conditions.ts';
import { scorePrediction } from './metrics.ts';
import type { Prediction } from './predictions.ts';
import type { EvaluationItem } from './questions.ts';

/** Keys, values and adapters of one batch, in bytes, at most. */
const batchBytes = 512 * 1024 * 1024;
/** More rows than this make a step of decoding slower, not faster. */
const maximumRows = 64;

export interface Experiment {
  items: readonly EvaluationItem[];
  conditions: readonly Condition[];
  settings: GenerationSettings;
  /** The prompt of an item under a condition. */
  buildPrompt: (item: EvaluationItem, condition: Condition) => Prompt | Promise<Prompt>;
  /** The part of an answer's text that is judged. Default: all of it, without spaces around it. */
  extractAnswer?: (text: string, condition: Condition) => string;
  /** Predictions of an earlier run, which are not made again. */
  done?: readonly Prediction[];
  /** Rows of a batch at most (default: as many as memory and speed allow). */
  batchRows?: number | undefined;
}

interface Job {
  item: EvaluationItem;
  condition: Condition;
  prompt: Prompt;
}

/**
 * Runs an experiment, yielding the predictions of one batch at a time. All conditions of an item are in one batch as
 * far as they fit, since they share its passages.
 * @throws CancelledError when the signal fires; what was yielded before is complete
 */
export async function* runExperiment(
  decoder: Decoder,
  experiment: Experiment,
  signal?: AbortSignal,
): AsyncGenerator<Prediction[]> {
  const done = new Set(experiment.done?.map((prediction) => jobKey(prediction.item, prediction)));
  const limit = experiment.batchRows ?? maximumRows;
  let batch: Job[] = [];
  for (const item of experiment.items) {
    for (const condition of experiment.conditions) {
      if (done.has(jobKey(item.id, condition))) continue;
      const job = { item, condition, prompt: await experiment.buildPrompt(item, condition) };
      const rows = rowsInMemory([...batch, job], decoder.checkpoint.config, experiment.settings);
      if (batch.length >= Math.min(limit, rows)) {
        yield await answerBatch(decoder, batch, experiment, signal);
        batch = [];
      }
      batch.push(job);
    }
  }
  if (batch.length > 0) yield await answerBatch(decoder, batch, experiment, signal);
}

async function answerBatch(
  decoder: Decoder,
  jobs: readonly Job[],
  { settings, extractAnswer }: Experiment,
  signal?: AbortSignal,
): Promise<Prediction[]> {
  const prompts = jobs.map(({ prompt }) => prompt);
  const predictions: Prediction[] = [];
  for await (const event of decoder.compare(prompts, settings, signal)) {
    if (event.type !== 'done') continue;
    const { item, condition } = jobs[event.index]!;
    const extracted = extractAnswer?.(event.generation.text, condition) ?? event.generation.text;
    predictions[event.index] = toPrediction(item, condition, event.generation, strip(extracted));
  }
  return predictions;
}

function toPrediction(
  item: EvaluationItem,
  condition: Condition,
  generation: Generation,
  prediction: string,
): Prediction {
  const { text, tokenIds, promptTokens, truncatedTokens, stopReason } = generation;
  return {
    item: item.id,
    ...condition,
    question: item.question,
    goldAnswers: item.goldAnswers,
    text,
    prediction,
    ...scorePrediction(prediction, item.goldAnswers),
    answerTokens: tokenIds.length,
    promptTokens,
    truncatedTokens,
    stopReason,
  };
}

/** How many rows as long as the longest of these prompts fit in the memory of a batch; at least one. */
function rowsInMemory(jobs: readonly Job[], config: ModelConfig, settings: GenerationSettings): number {
  const longest = Math.max(...jobs.map(({ prompt }) => promptLength(prompt)));
  const positions = Math.min(longest, contextLength(config)) + settings.maxNewTokens;
  const bytesPerPosition = 2 * 4 * config.numLayers * config.numKeyValueHeads * config.headDim;
  const bytesPerAdapter = Math.max(...jobs.map(({ prompt }) => adapterBytes(prompt)));
  return Math.max(1, Math.floor(batchBytes / (positions * bytesPerPosition + bytesPerAdapter)));
}

/** Every row of a batch carries its adapter's factors; rows without one are padded to the largest. */
function adapterBytes({ adapter }: Prompt): number {
  let values = 0;
  for (const { a, b } of adapter?.pairs.values() ?? []) values += a.length + b.length;
  return 4 * values;
}

function promptLength({ parts }: Prompt): number {
  return parts.reduce((sum, part) => sum + ('tokenIds' in part ? part.tokenIds.length : part.rows.count), 0);
}

function jobKey(item: string, condition: Pick<Condition, 'variant' | 'passages'>): string {
  return `${conditionKey(condition)} ${item}`;
}
