/** The predictions of an experiment on disk: JSON lines that grow while it runs, so that it can be resumed. */
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import * as v from 'valibot';
import type { VariantId } from '../protocol/comparison.ts';
import { UserError } from '../protocol/errors.ts';
import { count, longText, parseValidated, shortText, size } from '../protocol/schema.ts';
import type { Scores } from './metrics.ts';

/** One answer and its scores. */
export interface Prediction extends Scores {
  /** The item's id in the data file. */
  item: string;
  variant: VariantId;
  k: number;
  /** Passages in the prompt at most. */
  passages: number;
  question: string;
  goldAnswers: string[];
  /** As the model gave it. */
  text: string;
  /** What was judged. */
  prediction: string;
  answerTokens: number;
  promptTokens: number;
  truncatedTokens: number;
  stopReason: string;
}

/** What makes predictions comparable: two runs may share a folder only if all of it is equal. */
export type ExperimentSettings = Readonly<Record<string, string | number | boolean | null>>;

const settingsSchema: v.GenericSchema<unknown, ExperimentSettings> = v.record(
  v.string(),
  v.union([v.string(), v.number(), v.boolean(), v.null()]),
);

const predictionSchema = v.object({
  ...{ item: v.string(), variant: shortText, k: count, passages: count, question: longText },
  ...{ goldAnswers: v.array(longText), text: longText, prediction: longText },
  ...{ answerTokens: count, promptTokens: count, truncatedTokens: count, stopReason: shortText },
  ...{ exactMatch: size, f1: size, precision: size, recall: size, accuracy: size },
});

export class PredictionFile {
  private readonly handle: FileHandle;
  /** What earlier runs left. */
  readonly earlier: readonly Prediction[];

  private constructor(handle: FileHandle, earlier: readonly Prediction[]) {
    this.handle = handle;
    this.earlier = earlier;
  }

  /**
   * Opens `predictions.jsonl` of a folder, creating both, with the predictions that are there already. A line that was
   * cut off by the end of an earlier run is dropped.
   * @throws UserError if the folder holds an experiment with other settings
   */
  static async open(folder: string, settings: ExperimentSettings): Promise<PredictionFile> {
    await mkdir(folder, { recursive: true });
    await checkSettings(join(folder, 'experiment.json'), settings);
    const file = join(folder, 'predictions.jsonl');
    const earlier = await readPredictions(file);
    // rewritten as a whole, so that a half line of a killed run does not stand before the next one
    await writeFile(`${file}.tmp`, toLines(earlier));
    await rename(`${file}.tmp`, file);
    return new PredictionFile(await open(file, 'a'), earlier);
  }

  async append(predictions: readonly Prediction[]): Promise<void> {
    await this.handle.appendFile(toLines(predictions));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.handle.close();
  }
}

async function checkSettings(file: string, settings: ExperimentSettings): Promise<void> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) {
    await writeFile(file, `${JSON.stringify(settings, null, 2)}\n`);
    return;
  }
  const damaged = `${file} is damaged (remove it, or choose another folder for the results)`;
  const found = parseValidated(settingsSchema, text, damaged);
  const names = [...new Set([...Object.keys(settings), ...Object.keys(found)])];
  const different = names.filter((name) => settings[name] !== found[name]);
  if (different.length > 0) {
    const list = different
      .map((name) => `${name} ${JSON.stringify(found[name])}, now ${JSON.stringify(settings[name])}`)
      .join('; ');
    throw new UserError(
      `The folder of ${file} holds the results of another experiment (${list}): choose another folder, or remove it.`,
    );
  }
}

async function readPredictions(file: string): Promise<Prediction[]> {
  const predictions: Prediction[] = [];
  try {
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
      const prediction = parsePrediction(line);
      if (prediction) predictions.push(prediction);
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  return predictions;
}

function parsePrediction(line: string): Prediction | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return v.is(predictionSchema, value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function toLines(predictions: readonly Prediction[]): string {
  return predictions.map((prediction) => `${JSON.stringify(prediction)}\n`).join('');
}
