/** A training run in a folder of its own: what the extension host writes for the training engine, and reads back. */
import * as v from 'valibot';
import { longText, parseValidated, shortText, size } from './schema.ts';
import { settingsSchema, type TrainingSettings } from './training.ts';

/** `run.json` of a run's folder: everything that the run depends on, besides the copy of its data. */
export interface TrainingRunFile {
  version: 1;
  /** As in `ModelSelection`. */
  model: string;
  /** For people. */
  modelName: string;
  /** The data file, for people. */
  data: string;
  /** Share of the examples that is validated on instead of trained on. */
  validationShare: number;
  settings: TrainingSettings;
  /** Absolute path of the virtual tokens to be written. */
  tokenFile: string;
  /** URI of the workspace folder that it was started in; null: none was open. */
  workspace: string | null;
  /** ISO 8601 */
  createdAt: string;
  /** Set when the user ended the run; `path` is null if there were no rows to keep. */
  stopped?: { path: string | null };
}

/** The files of a run's folder. */
export const runFiles = {
  run: 'run.json',
  data: 'data.jsonl',
  /** Every event so far, one JSON object per line. */
  events: 'events.jsonl',
  /** The lock of the process that trains; absent: none does. */
  lock: 'running.lock',
} as const;

/** Examples that are validated on at most: exact match takes an answer for each and every k. */
export const mostValidationExamples = 50;

const runSchema: v.GenericSchema<unknown, TrainingRunFile> = v.object({
  version: v.literal(1),
  model: shortText,
  modelName: shortText,
  data: shortText,
  validationShare: v.pipe(size, v.maxValue(1)),
  settings: settingsSchema,
  tokenFile: shortText,
  workspace: v.nullable(longText),
  createdAt: shortText,
  stopped: v.optional(v.object({ path: v.nullable(shortText) })),
});

/** The description of a run from its JSON text. @throws UserError that names the field that is wrong */
export function parseRun(text: string, file: string): TrainingRunFile {
  return parseValidated(runSchema, text, file);
}
