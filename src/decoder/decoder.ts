/**
 * The language model: prompts in, streamed answers out. `compare` prefills what prompts share once and decodes all of
 * them in one batch, which reads the weights once for all.
 */
import { openCheckpoint } from '../checkpoint/checkpoint.ts';
import { EmbeddingTable } from '../checkpoint/embeddingTable.ts';
import { openTokenizer, type Tokenizer } from '../checkpoint/tokenizer.ts';
import type { Checkpoint } from '../checkpoint/types.ts';
import { throwIfCancelled } from '../protocol/errors.ts';
import { Answering } from './answering.ts';
import { BatchDecoding, type DecodingRow } from './batchDecoding.ts';
import { fitToContext } from './context.ts';
import { chooseDevice } from './device.ts';
import { release } from './keyValueCache.ts';
import { Prefill } from './prefill.ts';
import { PrefixCache } from './prefixCache.ts';
import { PromptUnits } from './promptUnits.ts';
import { DecoderSession } from './session.ts';
import type { DecoderEvent, DecoderOptions, Device, GenerationSettings, Precision, Prompt } from './types.ts';

/** Bytes of prefilled prompts that are kept between questions. */
const prefixCacheBytes = 512 * 1024 * 1024;

export class Decoder {
  readonly checkpoint: Checkpoint;
  readonly tokenizer: Tokenizer;
  readonly embeddings: EmbeddingTable;
  readonly session: DecoderSession;
  readonly device: Device;
  readonly precision: Precision;
  readonly loadMs: number;
  private readonly promptUnits: PromptUnits;
  private readonly prefixCache: PrefixCache;

  private constructor(
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    embeddings: EmbeddingTable,
    session: DecoderSession,
    loadMs: number,
  ) {
    this.checkpoint = checkpoint;
    this.tokenizer = tokenizer;
    this.embeddings = embeddings;
    this.session = session;
    this.loadMs = loadMs;
    this.device = session.options.device;
    this.precision = session.options.precision;
    this.promptUnits = new PromptUnits(embeddings);
    this.prefixCache = new PrefixCache(prefixCacheBytes, session.cacheElementBytes);
  }

  /**
   * Opens a checkpoint folder and loads its weights.
   * @throws UserError for anything wrong with the folder's files, or if they do not fit in memory
   */
  static async open(folder: string, options: DecoderOptions = {}): Promise<Decoder> {
    const start = performance.now();
    const chosen = await chooseDevice(options.device ?? 'auto');
    const checkpoint = await openCheckpoint(folder);
    const tokenizer = await openTokenizer(folder, checkpoint.config.vocabSize);
    throwIfCancelled(options.signal);
    const embeddings = await EmbeddingTable.open(checkpoint);
    const session = await DecoderSession.open(checkpoint, {
      device: chosen.device,
      precision: options.precision === 'f16' ? 'f16' : 'f32',
      plainAttention: chosen.webgpu?.fusedAttention === false,
    });
    return new Decoder(checkpoint, tokenizer, embeddings, session, performance.now() - start);
  }

  /**
   * Answers all prompts at once. The tokens of each are exactly those it would get alone; events of different
   * prompts come mixed, as they are decoded.
   * @throws UserError for a prompt that is empty, too long or of the wrong width, and for logits that are not finite
   * @throws CancelledError soon after the signal fires (between chunks and tokens)
   */
  async *compare(
    prompts: readonly Prompt[],
    settings: GenerationSettings,
    signal?: AbortSignal,
  ): AsyncGenerator<DecoderEvent> {
    const start = performance.now();
    const { config } = this.checkpoint;
    const decode = (ids: readonly number[]): string => this.tokenizer.decode(ids);
    const answers = prompts.map((prompt, index) => {
      const fitted = fitToContext(this.promptUnits.fromPrompt(prompt), config, settings);
      return new Answering({ ...fitted, index, settings, config, decode, start });
    });
    yield* this.answer(answers, prompts, signal);
  }

  /** Goes on with all answers that have not finished. */
  private async *answer(
    answers: readonly Answering[],
    prompts: readonly Prompt[],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<DecoderEvent> {
    const open = answers.filter(({ finished }) => !finished);
    const capacity = Math.max(0, ...open.map((answering) => answering.capacity));
    const prefill = new Prefill(this.session, this.promptUnits, this.prefixCache, capacity, signal);
    const toPrefill = open.map(({ index, units }) => ({ index, units, adapter: prompts[index]!.adapter }));
    await this.session.prepareFor(toPrefill.map(({ adapter }) => adapter));
    const rows: DecodingRow[] = [];
    let handedOver = false;
    try {
      for await (const { index, cache, logits, sharedTokens } of prefill.run(toPrefill)) {
        const answering = answers[index]!;
        rows.push({ answering, adapter: prompts[index]!.adapter, cache, row: 0 });
        answering.sharedTokens = sharedTokens;
        yield* answering.accept(logits);
        if (answering.finished) release(rows.pop()!.cache);
      }
      handedOver = true;
    } finally {
      if (!handedOver) for (const { cache } of rows) release(cache);
    }
    yield* new BatchDecoding(this.session, this.promptUnits, capacity).run(rows, signal);
  }

  /** Frees the weights and closes the files. */
  async dispose(): Promise<void> {
    this.prefixCache.clear();
    await this.session.dispose();
    await this.embeddings[Symbol.asyncDispose]();
  }
}
