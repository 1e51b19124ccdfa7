/** Answers every question of a data set under every condition, many prompts in one batch, and scores the answers. */
import { strip } from '../checkpoint/pythonText.ts';
import type { Generation, GenerationSettings } from '../decoder/types.ts';
import type { AnswerBackend, AnswerRequest } from '../methods/backend.ts';
import { UserError } from '../protocol/errors.ts';
import { conditionKey, type Condition } from './conditions.ts';
import { scorePrediction } from './metrics.ts';
import type { Prediction } from './predictions.ts';
import type { EvaluationItem } from './questions.ts';

export interface Experiment {
  items: readonly EvaluationItem[];
  conditions: readonly Condition[];
  settings: GenerationSettings;
  /** What is asked of an item under a condition. */
  request: (item: EvaluationItem, condition: Condition) => AnswerRequest | Promise<AnswerRequest>;
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
  request: AnswerRequest;
}

/**
 * Runs an experiment, yielding the predictions of one batch at a time. All conditions of an item are in one batch as
 * far as they fit, since they share its passages.
 * @throws UserError if a condition cannot be asked
 * @throws CancelledError when the signal fires; what was yielded before is complete
 */
export async function* runExperiment(
  backend: AnswerBackend,
  experiment: Experiment,
  signal?: AbortSignal,
): AsyncGenerator<Prediction[]> {
  const done = new Set(experiment.done?.map((prediction) => jobKey(prediction.item, prediction)));
  const limit = experiment.batchRows ?? Infinity;
  let batch: Job[] = [];
  for (const item of experiment.items) {
    for (const condition of experiment.conditions) {
      if (done.has(jobKey(item.id, condition))) continue;
      const job = { item, condition, request: await experiment.request(item, condition) };
      const requests = [...batch, job].map(({ request }) => request);
      if (batch.length >= Math.min(limit, backend.batchSize(requests, experiment.settings))) {
        yield await answerBatch(backend, batch, experiment, signal);
        batch = [];
      }
      batch.push(job);
    }
  }
  if (batch.length > 0) yield await answerBatch(backend, batch, experiment, signal);
}

async function answerBatch(
  backend: AnswerBackend,
  jobs: readonly Job[],
  { settings, extractAnswer }: Experiment,
  signal?: AbortSignal,
): Promise<Prediction[]> {
  const requests = jobs.map(({ request }) => request);
  const predictions: Prediction[] = [];
  for await (const event of backend.answer(requests, settings, signal)) {
    if (event.type === 'unavailable') {
      throw new UserError(`${jobs[event.index]!.condition.variant}: ${event.error.message}`, {
        cause: event.error,
      });
    }
    if (event.type !== 'answer') continue;
    const { item, condition } = jobs[event.index]!;
    const extracted = extractAnswer?.(event.answer.text, condition) ?? event.answer.text;
    predictions[event.index] = toPrediction(item, condition, event.answer, strip(extracted));
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

function jobKey(item: string, condition: Pick<Condition, 'variant' | 'passages'>): string {
  return `${conditionKey(condition)} ${item}`;
}
