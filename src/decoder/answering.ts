/** One prompt's answer while it grows. */
import { contextLength } from '../checkpoint/ropeConfig.ts';
import type { ModelConfig } from '../checkpoint/types.ts';
import type { FittedPrompt } from './context.ts';
import type { Units } from './promptUnits.ts';
import { Sampler } from './sampling.ts';
import { TextStream, type DecodeText } from './textStream.ts';
import type { DecoderEvent, Generation, GenerationSettings } from './types.ts';

interface AnsweringOptions extends FittedPrompt {
  /** The prompt's place in its comparison. */
  index: number;
  settings: GenerationSettings;
  config: ModelConfig;
  decode: DecodeText;
  /** When the comparison started (performance.now()). */
  start: number;
}

export class Answering {
  readonly index: number;
  finished = false;
  /** Positions of the prompt that were not run for it alone. */
  sharedTokens = 0;
  private readonly options: AnsweringOptions;
  private readonly sampler: Sampler;
  private readonly stream: TextStream;
  private readonly eosTokenIds: ReadonlySet<number>;
  private readonly tokenIds: number[] = [];
  private readonly maxNewTokens: number;
  private firstTokenAt = 0;

  constructor(options: AnsweringOptions) {
    const { index, settings, config, units } = options;
    this.options = options;
    this.index = index;
    this.sampler = new Sampler(
      settings,
      index,
      units.filter((unit) => unit >= 0),
    );
    this.stream = new TextStream(options.decode, settings.stop);
    this.eosTokenIds = new Set(settings.ignoreEos ? [] : config.eosTokenIds);
    // the last new token is never fed back, so it needs no position
    const room = Math.max(contextLength(config), units.length) - units.length + 1;
    this.maxNewTokens = Math.min(settings.maxNewTokens, room);
  }

  /** The prompt and what has been answered so far. */
  get units(): Units {
    return [...this.options.units, ...this.tokenIds];
  }

  /** Positions that prompt and answer need at most. */
  get capacity(): number {
    return this.options.units.length + this.maxNewTokens;
  }

  /** The token to feed next. */
  get lastTokenId(): number {
    return this.tokenIds.at(-1)!;
  }

  /**
   * Chooses the next token from its logits (vocabSize); yields it, and the finished answer if it ends with it. Text
   * held back for a stop string when EOS comes is in the finished answer only.
   */
  *accept(logits: Float32Array): Generator<DecoderEvent> {
    if (this.maxNewTokens === 0) {
      yield this.finish('length');
      return;
    }
    const { tokenId, logProbability, alternatives } = this.sampler.next(logits);
    if (this.tokenIds.length === 0) this.firstTokenAt = performance.now();
    if (this.eosTokenIds.has(tokenId)) {
      this.stream.finish();
      yield this.finish('eos');
      return;
    }
    this.tokenIds.push(tokenId);
    let text = this.stream.push(tokenId);
    const isLast = this.tokenIds.length >= this.maxNewTokens;
    if (isLast) text += this.stream.finish();
    const described = alternatives.map((token) => ({ ...token, text: this.options.decode([token.tokenId]) }));
    const token = { tokenId, text, logProbability, alternatives: described };
    yield { type: 'token', index: this.index, token };
    if (this.stream.stopped) yield this.finish('stop');
    else if (isLast) yield this.finish('length');
  }

  private finish(stopReason: Generation['stopReason']): DecoderEvent {
    this.finished = true;
    const now = performance.now();
    const { start, units, truncatedTokens } = this.options;
    const decodeMs = this.firstTokenAt === 0 ? 0 : now - this.firstTokenAt;
    const steps = this.tokenIds.length - (stopReason === 'eos' ? 0 : 1);
    const generation: Generation = {
      tokenIds: this.tokenIds,
      text: this.stream.text,
      promptTokens: units.length,
      truncatedTokens,
      sharedTokens: this.sharedTokens,
      stopReason,
      timings: {
        prefillMs: (this.firstTokenAt || now) - start,
        decodeMs,
        decodeTokensPerSecond: decodeMs > 0 && steps > 0 ? (1000 * steps) / decodeMs : 0,
      },
    };
    return { type: 'done', index: this.index, generation };
  }
}
