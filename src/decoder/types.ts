/**
 * The decoder's interface: prompts in, tokens out. `Decoder` (decoder.ts) implements it.
 */
import type { LoraAdapter } from '../checkpoint/types.ts';

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
}

export type Device = 'cpu' | 'webgpu' | 'cuda' | 'dml' | 'coreml';
export type Precision = 'f32' | 'f16' | 'int8' | 'int4';

export interface DecoderOptions {
  device?: Device | 'auto';
  precision?: Precision | 'auto';
  signal?: AbortSignal;
}

export interface GenerationSettings {
  maxNewTokens: number;
  /** Generation ends before the first of these strings; the text up to it is kept. */
  stop?: readonly string[];
  /** Go on after an end-of-sequence token (benchmarks). */
  ignoreEos?: boolean;
  /** 0 or absent: greedy. */
  temperature?: number;
  topP?: number;
  topK?: number;
  /** Divides (multiplies, if negative) the logits of tokens that occurred; 1 or absent: none. As in transformers. */
  repetitionPenalty?: number;
  /** Seeds the sampler; prompt i of a comparison uses its own stream of it. */
  seed?: number;
  /** How many of the likeliest tokens to report with each token. */
  alternatives?: number;
  /** What to do with a prompt that does not fit the context. Default 'refuse'. */
  overflow?: 'refuse' | 'truncate-left';
}

export interface TokenAlternative {
  tokenId: number;
  text: string;
  logProbability: number;
}

export type StopReason = 'eos' | 'length' | 'stop';

export interface GenerationTimings {
  /** From the start of `compare` to this prompt's first token. */
  prefillMs: number;
  decodeMs: number;
  decodeTokensPerSecond: number;
}

export interface Generation {
  /** New tokens, without the EOS that ended them. */
  tokenIds: number[];
  text: string;
  /** Virtual tokens included. */
  promptTokens: number;
  /** Tokens cut from the left because the prompt was too long (`overflow: 'truncate-left'`). */
  truncatedTokens: number;
  /** Of promptTokens, how many were taken from the prefix cache or shared with another prompt. */
  sharedTokens: number;
  stopReason: StopReason;
  timings: GenerationTimings;
}

/** What `compare` yields; `index` is the prompt's place in the array given. */
export type DecoderEvent =
  | {
      type: 'token';
      index: number;
      tokenId: number;
      /** Text that became final with this token: whole characters only, possibly empty. */
      text: string;
      logProbability: number;
      alternatives: TokenAlternative[];
    }
  | { type: 'done'; index: number; generation: Generation };
