/**
 * The decoder's interface: prompts in, tokens out. `Decoder` (decoder.ts) implements it.
 */
import type { LoraAdapter } from '../checkpoint/types.ts';
import type { Answer, AnswerSettings, AnswerToken, PrecisionChoice } from '../protocol/comparison.ts';

/** A run of token ids, or rows that are fed as they are (virtual tokens). */
export type PromptPart = { tokenIds: readonly number[] } | { rows: VirtualTokenRows };

export interface VirtualTokenRows {
  /** (count, hiddenSize), row-major */
  data: Float32Array;
  count: number;
}

export interface Prompt {
  parts: readonly PromptPart[];
  adapter?: LoraAdapter | undefined;
  /** Contrastive decoding: tokens are chosen by (1 + strength) x the logits of this prompt - strength x those of that. */
  against?: { parts: readonly PromptPart[]; strength: number } | undefined;
}

export type Device = 'cpu' | 'webgpu' | 'cuda' | 'dml' | 'coreml';

/**
 * `int8`, `int4`: quantised from the weights' values. Only for checkpoints whose weights are quantised: `native`, their
 * own blocks with activations in 8 bits; `exact`, the same with float activations.
 */
export type Precision = Exclude<PrecisionChoice, 'auto'>;

/** How weights are prepared that cannot be run as they lie. */
export interface Preparation {
  /** Where prepared weights are kept; default: the user's cache folder. */
  quantizedFolder?: string;
  /** Told while weights are prepared. */
  onConversion?: (progress: { done: number; total: number }) => void;
  signal?: AbortSignal | undefined;
}

export interface DecoderOptions extends Preparation {
  device?: Device | 'auto';
  precision?: Precision | 'auto';
  /** Threads of the CPU; default: one for each core. */
  threads?: number;
  /** Told when the model had to leave its device in mid-session. */
  onNotice?: (message: string) => void;
}

export interface GenerationSettings extends AnswerSettings {
  /** Go on after an end-of-sequence token (benchmarks). */
  ignoreEos?: boolean;
  /** What to do with a prompt that leaves no room in the context. Default 'refuse'. */
  overflow?: 'refuse' | 'truncate-left';
}

/** A finished answer; `prefillMs` counts from the start of `compare` to this prompt's first token. */
export type Generation = Omit<Answer, 'stopReason'> & { stopReason: 'eos' | 'length' | 'stop' };

/** What `compare` yields; `index` is the prompt's place in the array given. */
export type DecoderEvent =
  | { type: 'token'; index: number; token: AnswerToken }
  | { type: 'done'; index: number; generation: Generation };
