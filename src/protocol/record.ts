/**
 * An experiment record: everything needed to repeat and to judge a comparison. Saved as JSON
 * (`*.spring.json`), readable without this extension.
 */
import type {
  Answer,
  AnswerSettings,
  AnswerToken,
  DeviceChoice,
  PrecisionChoice,
  PromptPiece,
  VariantId,
} from './comparison.ts';
import { UserError } from './errors.ts';
import type { Passage } from './passages.ts';

export const recordFormat = 'spring-rag/experiment';

export interface ExperimentRecord {
  format: typeof recordFormat;
  version: 1;
  /** ISO 8601 */
  createdAt: string;
  software: { extension: string; node: string; platform: string };
  question: string;
  /** All passages that were offered, in order; the prompt holds the ticked ones. */
  passages: RecordedPassage[];
  /** How the passages were found; null when all were given by hand. */
  index: {
    files: number;
    chunks: number;
    updatedAt: string;
    contentHash: string | null;
    passageCount: number;
  } | null;
  model: {
    id: string;
    name: string;
    architecture: string;
    hiddenSize: number;
    fingerprint: string;
    requestedDevice: DeviceChoice;
    requestedPrecision: PrecisionChoice;
    /** As it ran. */
    device: string;
    precision: string;
  };
  tokenFile: {
    path: string;
    name: string;
    rows: number;
    hiddenSize: number;
    dtype: string;
    sha256: string;
  } | null;
  /** The seed is among them. */
  settings: AnswerSettings;
  variants: RecordedVariant[];
}

export interface RecordedPassage extends Passage {
  ticked: boolean;
  origin: 'retrieved' | 'by-hand' | 'editor';
  rank: number | null;
  titlePath: string[];
  bm25Rank: number | null;
  vectorRank: number | null;
}

export interface RecordedVariant {
  id: VariantId;
  label: string;
  k: number;
  prompt: PromptPiece[];
  tokens: AnswerToken[];
  answer: Answer | null;
}

/**
 * Reads a record's JSON text.
 * @throws UserError if it is not JSON, not a record, or of a later version
 */
export function parseRecord(text: string): ExperimentRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UserError(`This is not an experiment record: it is not valid JSON (${String(error)}).`);
  }
  const record = value as Partial<ExperimentRecord> | null;
  if (typeof record !== 'object' || record === null || record.format !== recordFormat) {
    throw new UserError(`This is not an experiment record: "format" is not "${recordFormat}".`);
  }
  if (record.version !== 1) {
    throw new UserError(
      `This experiment record has version ${String(record.version)}; this extension reads version 1. Update the extension.`,
    );
  }
  const missing = (['question', 'passages', 'model', 'settings', 'variants'] as const).filter(
    (field) => record[field] === undefined,
  );
  if (missing.length > 0)
    throw new UserError(`This experiment record is damaged: ${missing.join(', ')} missing.`);
  return record as ExperimentRecord;
}
