/**
 * The language model: prompts in, streamed answers out. `compare` prefills what prompts share once and decodes all of
 * them in one batch, which reads the weights once for all.
 */
import { openCheckpoint } from '../checkpoint/checkpoint.ts';
import { EmbeddingTable } from '../checkpoint/embeddingTable.ts';
import { keyValueBytes } from '../checkpoint/memory.ts';
import { openTokenizer, type Tokenizer } from '../checkpoint/tokenizer.ts';
import type { Checkpoint } from '../checkpoint/types.ts';
import { CancelledError, messageOf, throwIfCancelled, UserError } from '../protocol/errors.ts';
import { Answering } from './answering.ts';
import { branchesOf, type Branch, type GrowingAnswer } from './branches.ts';
import { fitToContext, type FittedPrompt } from './context.ts';
import type { Sequence } from './keyValueMemory.ts';
import { loadSession, type LoadedSession } from './loading.ts';
import { Prefill } from './prefill.ts';
import { PrefixCache } from './prefixCache.ts';
import { PromptUnits, type Units } from './promptUnits.ts';
import { lossWarning, quantizationLoss } from './quantizationLoss.ts';
import { outgrowsKeys } from './rope.ts';
import { scorePrompt } from './scoring.ts';
import type { DecoderSession } from './session.ts';
import type { DecoderEvent, DecoderOptions, Device, GenerationSettings, Precision, Prompt } from './types.ts';

/** Bytes of prefilled prompts that are kept between questions. */
const prefixCacheBytes = 512 * 1024 * 1024;

export class Decoder {
  readonly checkpoint: Checkpoint;
  readonly tokenizer: Tokenizer;
  readonly embeddings: EmbeddingTable;
  readonly loadMs: number;
  private readonly options: DecoderOptions;
  private readonly promptUnits: PromptUnits;
  private loaded: LoadedSession;
  private prefixCache: PrefixCache;
  /** Settled when the comparison that runs, and those waiting, are done: the device works on one at a time. */
  private lastTurn: Promise<void> = Promise.resolve();

  private constructor(
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    embeddings: EmbeddingTable,
    loaded: LoadedSession,
    options: DecoderOptions,
    loadMs: number,
  ) {
    this.checkpoint = checkpoint;
    this.tokenizer = tokenizer;
    this.embeddings = embeddings;
    this.loaded = loaded;
    this.options = options;
    this.loadMs = loadMs;
    this.promptUnits = new PromptUnits(embeddings);
    this.prefixCache = prefixCacheFor(loaded.session);
  }

  /**
   * Opens a checkpoint folder and loads its weights; prepared weights are made first if there are none yet.
   * @throws UserError for anything wrong with the folder's files, if they do not fit in memory, or if the device or
   *   precision asked for cannot be had
   */
  static async open(folder: string, options: DecoderOptions = {}): Promise<Decoder> {
    const start = performance.now();
    const checkpoint = await openCheckpoint(folder);
    const tokenizer = await openTokenizer(folder, checkpoint.config.vocabSize);
    throwIfCancelled(options.signal);
    const loaded = await loadSession(checkpoint, options);
    const embeddings = await EmbeddingTable.open(checkpoint);
    try {
      const parts = { checkpoint, tokenizer, embeddings };
      const loss = await quantizationLoss(loaded.session, parts, options.signal);
      if (loss) loaded.warning = lossWarning(loss);
    } catch (error) {
      await loaded.session.dispose();
      await embeddings[Symbol.asyncDispose]();
      throw error;
    }
    return new Decoder(checkpoint, tokenizer, embeddings, loaded, options, performance.now() - start);
  }

  get session(): DecoderSession {
    return this.loaded.session;
  }

  /** Where the model runs now: it may have left a device that failed. */
  get device(): Device {
    return this.session.options.device;
  }

  get precision(): Precision {
    return this.session.options.precision;
  }

  /** What the user should know of the model in this precision. */
  get warning(): string | undefined {
    return this.loaded.warning;
  }

  /** Why this device and this precision, in words for the user. */
  get reason(): string {
    return this.loaded.reason;
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
      const { against, ...fitted } = this.fit(prompt, settings);
      return new Answering({ ...fitted, against, index, settings, config, decode, start });
    });
    const endTurn = await this.takeTurn();
    try {
      for (;;) {
        try {
          yield* this.answer(answers, prompts, signal);
          return;
        } catch (error) {
          if (this.device === 'cpu' || error instanceof UserError || error instanceof CancelledError)
            throw error;
          await this.continueOnCpu(error);
        }
      }
    } finally {
      endTurn();
    }
  }

  /**
   * Checks that a prompt has room in the context.
   * @throws UserError as compare would for all of its prompts
   */
  checkLength(prompt: Prompt, settings: GenerationSettings): void {
    this.fit(prompt, settings);
  }

  private fit(
    { against, ...prompt }: Prompt,
    settings: GenerationSettings,
  ): FittedPrompt & { against?: { units: Units; strength: number } | undefined } {
    const fitted = (parts: Pick<Prompt, 'parts'>): FittedPrompt =>
      fitToContext(this.promptUnits.fromPrompt(parts), this.checkpoint.config, settings);
    const other = against && { units: fitted(against).units, strength: against.strength };
    return { ...fitted(prompt), against: other };
  }

  /**
   * How likely the model finds a prompt as it stands; see scorePrompt. Waits for what was asked for earlier.
   * @throws UserError if the prompt is longer than the context, or logits are not finite
   * @throws CancelledError soon after the signal fires
   */
  async score(prompt: Prompt, signal?: AbortSignal): Promise<(number | null)[]> {
    const endTurn = await this.takeTurn();
    try {
      return await scorePrompt(this.session, this.promptUnits, prompt, signal);
    } finally {
      endTurn();
    }
  }

  /** Waits for the comparisons asked for earlier; the function returned lets the next begin. */
  private async takeTurn(): Promise<() => void> {
    const previous = this.lastTurn;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.lastTurn = previous.then(() => promise);
    await previous;
    return () => resolve(undefined);
  }

  /** Leaves a device that failed (a driver's reset, its memory exhausted); what was answered so far stays. */
  private async continueOnCpu(failure: unknown): Promise<void> {
    const { device, precision } = this;
    const what = messageOf(failure).trim().split('\n')[0]!;
    try {
      this.prefixCache.clear();
      await this.session.dispose();
    } catch {
      // of a lost device nothing can be given back
    }
    this.loaded = await loadSession(this.checkpoint, {
      ...this.options,
      device: 'cpu',
      precision: precision === 'f16' ? 'auto' : precision,
    });
    this.prefixCache = prefixCacheFor(this.session);
    const notice = `The device ${device} failed (${what}). The model goes on on the CPU in ${this.precision}.`;
    this.loaded.reason = notice;
    this.options.onNotice?.(notice);
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
    const toPrefill = branchesOf(open, ({ index }) => prompts[index]!.adapter);
    const adapters = toPrefill.map(({ adapter }) => adapter);
    if (!this.session.takes(adapters)) {
      this.prefixCache.clear();
      await this.session.prepareFor(adapters);
    }
    const growing = open.map((answering): GrowingAnswer => {
      return { answering, adapter: prompts[answering.index]!.adapter, sequences: [] };
    });
    try {
      yield* this.prefill(prefill, growing, toPrefill);
      for (;;) {
        this.releaseFinished(growing);
        if (growing.length === 0) return;
        throwIfCancelled(signal);
        const { config } = this.checkpoint;
        const [outgrown, others] = partition(growing, ({ sequences }) =>
          sequences.some(({ length }) => outgrowsKeys(config, length, length + 1)),
        );
        if (others.length > 0) yield* this.decodeNext(others);
        if (outgrown.length > 0) yield* this.prefillAnew(outgrown, others[0]?.sequences[0], prefill);
      }
    } finally {
      for (const { sequences } of growing) this.release(sequences);
    }
  }

  /** Runs branches through the model; an answer gets its next token when all of its branches are there. */
  private async *prefill(
    prefill: Prefill,
    growing: readonly GrowingAnswer[],
    branches: readonly Branch[],
    beside?: Sequence,
  ): AsyncGenerator<DecoderEvent> {
    const waiting = new Map<GrowingAnswer, Float32Array[]>();
    for await (const { index, sequence, logits, sharedTokens } of prefill.run(branches, beside)) {
      const { answering, place } = branches[index]!;
      const answer = growing.find((other) => other.answering === answering)!;
      answer.sequences[place] = sequence;
      if (place === 0 && answering.lastTokenId === undefined) answering.sharedTokens = sharedTokens;
      const all = waiting.get(answer) ?? [];
      all[place] = logits;
      waiting.set(answer, all);
      if (answering.branches.every((_, other) => all[other])) yield* answering.accept(all);
    }
  }

  /** One more token for each answer, all in one batch. */
  private async *decodeNext(growing: readonly GrowingAnswer[]): AsyncGenerator<DecoderEvent> {
    const runs = growing.flatMap(({ answering, adapter, sequences }) =>
      sequences.map(async (sequence) => ({
        sequence,
        inputsEmbeds: await this.promptUnits.embeddings([answering.lastTokenId!]),
        adapter,
        ropeLength: sequence.length + 1,
        logitsAt: [0],
      })),
    );
    const logits = await this.session.forward(await Promise.all(runs));
    for (const { answering, sequences } of growing)
      yield* answering.accept(logits.splice(0, sequences.length));
  }

  /** One more token for answers whose keys no longer hold: they and their prompts go through the model again. */
  private async *prefillAnew(
    outgrown: readonly GrowingAnswer[],
    beside: Sequence | undefined,
    prefill: Prefill,
  ): AsyncGenerator<DecoderEvent> {
    const adapters = new Map(outgrown.map(({ answering, adapter }) => [answering, adapter]));
    const branches = branchesOf([...adapters.keys()], (answering) => adapters.get(answering));
    const old = outgrown.flatMap((answer) => answer.sequences);
    for (const answer of outgrown) answer.sequences = [];
    try {
      yield* this.prefill(prefill, outgrown, branches, beside);
    } finally {
      this.release(old);
    }
  }

  private releaseFinished(growing: GrowingAnswer[]): void {
    for (const { answering, sequences } of growing) if (answering.finished) this.release(sequences);
    growing.splice(0, growing.length, ...growing.filter(({ answering }) => !answering.finished));
  }

  private release(sequences: readonly Sequence[]): void {
    for (const sequence of sequences.filter(Boolean)) this.session.memory.release(sequence);
  }

  /** Frees the weights and closes the files. */
  async dispose(): Promise<void> {
    this.prefixCache.clear();
    await this.session.dispose();
    await this.embeddings[Symbol.asyncDispose]();
  }
}

/** Those of which it is true, and the others. */
function partition<T>(items: readonly T[], isTrue: (item: T) => boolean): [T[], T[]] {
  return [items.filter(isTrue), items.filter((item) => !isTrue(item))];
}

function prefixCacheFor({ config, memory }: DecoderSession): PrefixCache {
  const bytes = keyValueBytes(config, 1, memory.elementBytes);
  return new PrefixCache(prefixCacheBytes, bytes, (sequence) => memory.release(sequence));
}
