/**
 * An experiment record: everything needed to repeat and to judge a comparison. Saved as JSON
 * (`*.spring.json`), readable without this extension.
 */
import * as v from 'valibot';
import type {
  Answer,
  AnswerSettings,
  AnswerToken,
  DeviceChoice,
  PrecisionChoice,
  PromptPiece,
} from './comparison.ts';
import { deviceChoices, longPromptChoices, precisionChoices } from './comparison.ts';
import { UserError } from './errors.ts';
import { variantPattern, type VariantId } from './methods.ts';
import type { Passage } from './passages.ts';
import { count, finite, listOf, longText, shortText, size, validated } from './schema.ts';

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
  tokenFile: RecordedTokenFile | null;
  /** The files that variants name, by the label in their ids. */
  tokenFiles?: Record<string, RecordedTokenFile>;
  /** The seed is among them. */
  settings: AnswerSettings;
  variants: RecordedVariant[];
}

export interface RecordedTokenFile {
  path: string;
  name: string;
  rows: number;
  hiddenSize: number;
  dtype: string;
  sha256: string;
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

/** Largest record that is read; one with five long answers and all alternatives has a few megabytes. */
export const maximumRecordBytes = 64 * 1024 ** 2;

const rank = v.nullable(count);

const passageSchema: v.GenericSchema<unknown, RecordedPassage> = v.object({
  text: longText,
  path: v.optional(shortText),
  startLine: v.optional(count),
  endLine: v.optional(count),
  score: v.optional(finite),
  ticked: v.boolean(),
  origin: v.picklist(['retrieved', 'by-hand', 'editor']),
  rank,
  titlePath: listOf(shortText, 100),
  bm25Rank: rank,
  vectorRank: rank,
});

const variantIds = new RegExp(variantPattern('required'));
export const variantId = v.custom<VariantId>(
  (value) => typeof value === 'string' && variantIds.test(value),
  'expected the name of a variant',
);

export const tokenSchema: v.GenericSchema<unknown, AnswerToken> = v.object({
  tokenId: count,
  text: longText,
  logProbability: finite,
  alternatives: listOf(v.object({ tokenId: count, text: longText, logProbability: finite }), 1000),
});

export const answerSchema: v.GenericSchema<unknown, Answer> = v.object({
  text: longText,
  tokenIds: listOf(count, 1_000_000),
  promptTokens: count,
  sharedTokens: count,
  truncatedTokens: count,
  stopReason: v.picklist(['eos', 'length', 'stop', 'cancelled']),
  timings: v.object({ prefillMs: size, decodeMs: size, decodeTokensPerSecond: size }),
});

export const promptSchema: v.GenericSchema<unknown, PromptPiece[]> = listOf(
  v.union([v.strictObject({ text: longText }), v.strictObject({ virtualTokens: count })]),
  10_000,
);

export const answerSettingsSchema: v.GenericSchema<unknown, AnswerSettings> = v.object({
  maxNewTokens: v.pipe(count, v.maxValue(1_000_000)),
  temperature: v.optional(size),
  topP: v.optional(size),
  topK: v.optional(count),
  repetitionPenalty: v.optional(size),
  seed: v.optional(count),
  stop: v.optional(listOf(longText, 100)),
  longPrompt: v.optional(v.picklist(longPromptChoices)),
  alternatives: v.optional(v.pipe(count, v.maxValue(1000))),
});

const tokenFileSchema: v.GenericSchema<unknown, RecordedTokenFile> = v.object({
  ...{
    path: shortText,
    name: shortText,
    rows: count,
    hiddenSize: count,
    dtype: shortText,
    sha256: shortText,
  },
});

const recordSchema: v.GenericSchema<unknown, ExperimentRecord> = v.object({
  format: v.literal(recordFormat),
  version: v.literal(1),
  createdAt: shortText,
  software: v.object({ extension: shortText, node: shortText, platform: shortText }),
  question: longText,
  passages: listOf(passageSchema, 10_000),
  index: v.nullable(
    v.object({
      files: count,
      chunks: count,
      updatedAt: shortText,
      contentHash: v.nullable(shortText),
      passageCount: v.pipe(count, v.maxValue(10_000)),
    }),
  ),
  model: v.object({
    id: shortText,
    name: shortText,
    architecture: shortText,
    hiddenSize: count,
    fingerprint: shortText,
    requestedDevice: v.picklist(deviceChoices),
    requestedPrecision: v.picklist(precisionChoices),
    device: shortText,
    precision: shortText,
  }),
  tokenFile: v.nullable(tokenFileSchema),
  tokenFiles: v.optional(v.record(shortText, tokenFileSchema)),
  settings: answerSettingsSchema,
  variants: listOf(
    v.object({
      id: variantId,
      label: shortText,
      k: count,
      prompt: promptSchema,
      tokens: listOf(tokenSchema, 1_000_000),
      answer: v.nullable(answerSchema),
    }),
    1000,
  ),
});

/**
 * Reads a record's JSON text, whole and checked.
 * @throws UserError if it is not JSON, not a record, of a later version, or damaged: then it names the field
 */
export function parseRecord(text: string): ExperimentRecord {
  if (text.length > maximumRecordBytes) {
    throw new UserError(
      `This is not an experiment record: it is larger than ${maximumRecordBytes / 1024 ** 2} MB.`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UserError(`This is not an experiment record: it is not valid JSON (${String(error)}).`);
  }
  const { format, version } = (value ?? {}) as Record<string, unknown>;
  if (format !== recordFormat) {
    throw new UserError(`This is not an experiment record: "format" is not "${recordFormat}".`);
  }
  if (typeof version === 'number' && version !== 1) {
    throw new UserError(
      `This experiment record has version ${String(version)}; this extension reads version 1. Update the extension.`,
    );
  }
  return validated(recordSchema, value, 'This experiment record is damaged');
}
