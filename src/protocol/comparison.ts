/**
 * One comparison as data: what is asked, and what comes back while the variants are decoded.
 * Shared by the command line, the engine processes, the extension host and the panel.
 */
import type { VariantId } from './methods.ts';
import type { Passage } from './passages.ts';

export type { VariantId } from './methods.ts';

/** How answers are generated. The same fields as the decoder's settings; absent = the decoder's default. */
export interface AnswerSettings {
  maxNewTokens: number;
  /** 0: greedy. */
  temperature?: number;
  topP?: number;
  topK?: number;
  /** 1: none. */
  repetitionPenalty?: number;
  seed?: number;
  /** The answer ends before the first of these. */
  stop?: string[];
  /**
   * A prompt that leaves no room for its answer: without the last passages (default), or cut at its start, as the authors
   * of SPRING do.
   */
  longPrompt?: LongPrompt;
  /** How many of the likeliest tokens to report beside each token; 0: none. */
  alternatives?: number;
}

export const longPromptChoices = ['keep-best', 'cut-left'] as const;
export type LongPrompt = (typeof longPromptChoices)[number];

export const deviceChoices = ['auto', 'cpu', 'webgpu', 'cuda', 'dml', 'coreml'] as const;
export type DeviceChoice = (typeof deviceChoices)[number];
/** `native`, `exact`: for models whose weights are quantised (see the decoder's Precision). */
export const precisionChoices = ['auto', 'exact', 'native', 'f32', 'f16', 'int8', 'int4'] as const;
export type PrecisionChoice = (typeof precisionChoices)[number];

/** A checkpoint to run: `demo`, a name of the model list, or a folder's absolute path. */
export interface ModelSelection {
  model: string;
  device: DeviceChoice;
  precision: PrecisionChoice;
}

export interface ComparisonRequest extends ModelSelection {
  question: string;
  /** The ticked passages, in the order in which they stand in the prompt. */
  passages: Passage[];
  /** Absolute path of the embedding file of variants with virtual tokens that name none of their own. */
  tokenFile: string | null;
  /** The embedding files that variants name, by the label in their ids. */
  tokenFiles?: Record<string, string>;
  variants: VariantId[];
  settings: AnswerSettings;
  /** How passages become adapters, for the variants of Parametric RAG; absent: the defaults. */
  prag?: PragOptions;
}

/** Everything is optional: what is absent has the authors' settings. */
export interface PragOptions {
  /** Folder of the trained adapters; default: the user's cache folder. */
  storeFolder?: string | undefined;
  /** Of all stored adapters together. */
  storeBytes?: number | undefined;
  /** PEFT folder that training starts from, such as a warmed-up start. */
  startFolder?: string | undefined;
  /** File of augmented passages in the authors' format. */
  augmentedFile?: string | undefined;
  /** Writes augmentations instead of the model itself; an OpenAI-compatible server. */
  endpoint?: { url: string; model: string; apiKey?: string | undefined } | undefined;
  /** File of reasoning examples: asks and trains with chain of thought. */
  fewShotFile?: string | undefined;
  /** Passages without a stored adapter are left out instead of being encoded. */
  onlyStored?: boolean | undefined;
  recipe?: PragRecipe | undefined;
}

/** How adapters are trained. */
export interface PragRecipe {
  rank?: number | undefined;
  loraAlpha?: number | undefined;
  learningRate?: number | undefined;
  weightDecay?: number | undefined;
  epochs?: number | undefined;
  /** Which tokens the loss is on. */
  labels?: 'all' | 'answer' | undefined;
  seed?: number | undefined;
}

export interface TokenAlternative {
  tokenId: number;
  text: string;
  /** Natural logarithm. */
  logProbability: number;
}

/** One generated token. */
export interface AnswerToken {
  tokenId: number;
  /** The text that became final with this token: whole characters only, possibly empty. */
  text: string;
  /** Natural logarithm of the probability that the model gave this token. */
  logProbability: number;
  /** The likeliest tokens at this place, best first; may contain the token itself. */
  alternatives: TokenAlternative[];
}

export interface AnswerTimings {
  /** From the start of the comparison to this variant's first token. */
  prefillMs: number;
  decodeMs: number;
  decodeTokensPerSecond: number;
}

/** A finished (or cancelled) answer. */
export interface Answer {
  text: string;
  tokenIds: number[];
  /** Virtual tokens included. */
  promptTokens: number;
  /** Prompt tokens that were not computed again: shared with another variant or an earlier question. */
  sharedTokens: number;
  /** Prompt tokens cut from the left because the prompt was too long for the model. */
  truncatedTokens: number;
  stopReason: 'eos' | 'length' | 'stop' | 'cancelled';
  timings: AnswerTimings;
}

/** A prompt as it went to the model: text and, between two texts, virtual tokens. */
export type PromptPiece = { text: string } | { virtualTokens: number };

/** What a variant lacks that cannot be asked. */
export type VariantNeed = 'token-file' | 'adapters' | 'model';

/** A variant of a comparison that has been set up. */
export interface VariantPlan {
  id: VariantId;
  /** For people: `Baseline`, `SPRING k=10`. */
  label: string;
  /** Virtual tokens in the prompt; 0 for the others. */
  k: number;
  prompt: PromptPiece[];
}

/** A model that is loaded, as the decoder runs it. */
export interface LoadedModel {
  model: string;
  folder: string;
  device: string;
  precision: string;
  /** Why this device and precision, for people. */
  reason?: string;
  /** What the user should know of the model in this precision: that it loses much, say. */
  warning?: string | undefined;
  loadMs: number;
}

/** A variant that cannot be asked; the others are. */
export interface UnavailableVariant {
  type: 'unavailable';
  variant: VariantId;
  label: string;
  k: number;
  /** Why, and what to do. */
  message: string;
  needs: VariantNeed | null;
}

/**
 * What a comparison reports, in this order: loading (if needed), loaded, what cannot be asked, prepared (all others), then
 * tokens and answers mixed.
 */
export type ComparisonEvent =
  | { type: 'loading'; message: string }
  | { type: 'loaded'; model: LoadedModel }
  | UnavailableVariant
  | { type: 'prepared'; variants: VariantPlan[] }
  | { type: 'token'; variant: VariantId; token: AnswerToken }
  | { type: 'answer'; variant: VariantId; answer: Answer };

/** What a checkpoint folder or a GGUF file holds, without loading it. */
export interface ModelInfo {
  /** What to pass as `ModelSelection.model`. */
  id: string;
  /** For people. */
  name: string;
  /** Or the GGUF file. */
  folder: string;
  /** `local`: another program's, such as Ollama's. */
  source: 'built-in' | 'folder' | 'hub' | 'local';
  architecture: string;
  hiddenSize: number;
  numLayers: number;
  contextLength: number;
  weightBytes: number;
  /**
   * Of config.json, tokenizer.json and the weight files' names and sizes, of a GGUF file of its header and size: identifies
   * it in experiment records.
   */
  fingerprint: string;
  /** Of some of the weights' values: tells which embedding files were trained for them (checkpoint/weightsFingerprint.ts). */
  weightsFingerprint?: string;
  /** Of a GGUF file: bytes that a comparison takes on the CPU, estimated; `native`: as the file stores its weights. */
  memory?: Record<'native' | 'f32' | 'int8' | 'int4', number>;
  /** Set when the folder cannot be used: why, in one sentence. The numbers above are then 0. */
  problem?: string;
}

/** What a virtual-token file holds. */
export interface TokenFileInfo {
  /** Absolute path. */
  path: string;
  name: string;
  source: 'built-in' | 'workspace' | 'folder' | 'hub';
  /** Rows = virtual tokens in the file; the first k are used. */
  rows: number;
  hiddenSize: number;
  dtype: string;
  /** Over the rows as float32 little-endian. */
  sha256: string;
  /** The model that it was trained for, as the file itself says. */
  backbone?: string;
  /** Of that model's weights, as `ModelInfo.weightsFingerprint`. */
  backboneFingerprint?: string;
  /** Set when the file cannot be read: why, in one sentence. The numbers above are then 0. */
  problem?: string;
}
