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
import { fitToContext } from './context.ts';
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
  readonly device: Device = 'cpu';
  readonly precision: Precision = 'f32';
  readonly loadMs: number;
  private readonly promptUnits: PromptUnits;
  private readonly prefixCache = new PrefixCache(prefixCacheBytes);

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
    this.promptUnits = new PromptUnits(embeddings);
  }

  /**
   * Opens a checkpoint folder and loads its weights.
   * @throws UserError for anything wrong with the folder's files, or if they do not fit in memory
   */
  static async open(folder: string, options: DecoderOptions = {}): Promise<Decoder> {
    const start = performance.now();
    const checkpoint = await openCheckpoint(folder);
    const tokenizer = await openTokenizer(folder, checkpoint.config.vocabSize);
    throwIfCancelled(options.signal);
    const embeddings = await EmbeddingTable.open(checkpoint);
    const session = await DecoderSession.open(checkpoint);
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
    const fitted = prompts.map((prompt) =>
      fitToContext(this.promptUnits.fromPrompt(prompt), config, settings),
    );
    const longest = Math.max(0, ...fitted.map(({ units }) => units.length));
    const capacity = Math.min(
      longest + settings.maxNewTokens,
      Math.max(config.maxPositionEmbeddings, longest),
    );
    const toPrefill = fitted.map(({ units }, index) => ({ index, units, adapter: prompts[index]!.adapter }));
    const prefill = new Prefill(this.session, this.promptUnits, this.prefixCache, capacity, signal);
    const decode = (ids: readonly number[]): string => this.tokenizer.decode(ids);

    let active: Answering[] = [];
    for await (const prefilled of prefill.run(toPrefill)) {
      const answering = new Answering({
        prefilled,
        ...fitted[prefilled.index]!,
        settings,
        config,
        decode,
        start,
      });
      yield* answering.accept(prefilled.logits);
      if (!answering.finished) active.push(answering);
    }
    if (active.length === 0) return;
    let cache =
      active.length === 1
        ? active[0]!.prefilledCache
        : this.session.gather(
            active.map(({ prefilledCache }) => ({ cache: prefilledCache, row: 0 })),
            capacity,
          );
    while (active.length > 0) {
      throwIfCancelled(signal);
      const logits = await this.session.forward({
        inputsEmbeds: await this.promptUnits.embeddings(active.map(({ lastTokenId }) => lastTokenId)),
        sequence: 1,
        cache,
        adapters: active.map(({ index }) => prompts[index]!.adapter),
        logitsIndices: [0],
        ropeLength: Math.max(...cache.lengths) + 1,
      });
      for (const [row, answering] of active.entries()) {
        yield* answering.accept(logits.subarray(row * config.vocabSize, (row + 1) * config.vocabSize));
      }
      const rows = [...active.keys()].filter((row) => !active[row]!.finished);
      if (rows.length < active.length && rows.length > 0) {
        cache = this.session.gather(
          rows.map((row) => ({ cache, row })),
          capacity,
        );
      }
      active = rows.map((row) => active[row]!);
    }
  }

  /** Frees the weights and closes the files. */
  async dispose(): Promise<void> {
    this.prefixCache.clear();
    await this.session.dispose();
    await this.embeddings[Symbol.asyncDispose]();
  }
}
