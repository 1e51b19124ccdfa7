/**
 * Prefilling the prompts of a comparison: what prompts share at their start is run through the model once, then its
 * keys and values are forked. SPRING's tokens come after the passages, so all variants share the passages.
 */
import type { LoraAdapter } from '../checkpoint/types.ts';
import { throwIfCancelled } from '../protocol/errors.ts';
import { release, type KeyValueCache } from './keyValueCache.ts';
import type { PrefixCache } from './prefixCache.ts';
import { commonPrefixLength, type PromptUnits, type Units } from './promptUnits.ts';
import { ropeRegime } from './rope.ts';
import type { DecoderSession } from './session.ts';

/** Positions per pass: between passes a cancellation is felt. */
const chunkSize = 256;
/** A shared piece shorter than this is not worth a pass of its own. */
const minimumShared = 16;

export interface PromptToPrefill {
  index: number;
  units: Units;
  adapter: LoraAdapter | undefined;
}

export interface PrefilledPrompt {
  index: number;
  /** One row, room for `capacity` positions; the receiver releases it. */
  cache: KeyValueCache;
  /** Logits of the prompt's last position (vocabSize). */
  logits: Float32Array;
  /** Positions that were not run for this prompt alone: from the prefix cache or shared with prompts before it. */
  sharedTokens: number;
}

export class Prefill {
  private readonly session: DecoderSession;
  private readonly promptUnits: PromptUnits;
  private readonly prefixCache: PrefixCache;
  private readonly capacity: number;
  private readonly signal: AbortSignal | undefined;

  /** @param capacity positions that every cache gets: the longest prompt and its answer */
  constructor(
    session: DecoderSession,
    promptUnits: PromptUnits,
    prefixCache: PrefixCache,
    capacity: number,
    signal?: AbortSignal,
  ) {
    this.session = session;
    this.promptUnits = promptUnits;
    this.prefixCache = prefixCache;
    this.capacity = capacity;
    this.signal = signal;
  }

  /** Yields every prompt as soon as it is prefilled. Prompts share only with prompts of the same adapter. */
  async *run(prompts: readonly PromptToPrefill[]): AsyncGenerator<PrefilledPrompt> {
    const groups = Map.groupBy(prompts, ({ adapter, units }) =>
      JSON.stringify([adapter?.id ?? '', ropeRegime(this.session.config, units.length)]),
    );
    for (const [key, group] of groups) {
      const shared = commonPrefixLength(group.map(({ units }) => units));
      const limit = Math.min(...group.map(({ units }) => units.length)) - 1;
      const known = this.prefixCache.find(key, group[0]!.units, Math.min(shared, limit));
      const cache = known ? await this.copyOf(known) : await this.session.allocate(1, this.capacity);
      let stored = false;
      for await (const prefilled of this.branch(group, cache, known?.length ?? 0)) {
        // one prompt of a group is enough for the next question: it holds the passages that all share
        if (!stored) this.prefixCache.store(key, group[0]!.units, prefilled.cache);
        stored = true;
        yield prefilled;
      }
    }
  }

  private async copyOf({ cache, length }: { cache: KeyValueCache; length: number }): Promise<KeyValueCache> {
    try {
      return await this.session.gather([{ cache, row: 0, length }], this.capacity);
    } finally {
      release(cache);
    }
  }

  /**
   * Prefills a group of prompts of which `cache` holds the same first positions. Takes over the cache.
   * @param shared how many of those positions the group's first prompt did not pay for
   */
  private async *branch(
    group: readonly PromptToPrefill[],
    cache: KeyValueCache,
    shared: number,
  ): AsyncGenerator<PrefilledPrompt> {
    let owned = true;
    try {
      const first = group[0]!;
      if (group.length === 1) {
        const logits = await this.append(first, cache, first.units.length);
        owned = false;
        yield { index: first.index, cache, logits, sharedTokens: shared };
        return;
      }
      // every prompt keeps at least one position of its own, whose logits it needs
      const shortest = Math.min(...group.map(({ units }) => units.length));
      const common = Math.min(commonPrefixLength(group.map(({ units }) => units)), shortest - 1);
      if (common - cache.lengths[0]! >= minimumShared) await this.append(first, cache, common);
      const position = cache.lengths[0]!;
      const members = Map.groupBy(group, (prompt) =>
        prompt.units.length === common + 1 ? prompt : prompt.units[common],
      );
      let number = 0;
      for (const branch of members.values()) {
        const isLast = ++number === members.size;
        const source = { cache, row: 0, length: position };
        const fork = isLast ? cache : await this.session.gather([source], this.capacity);
        if (isLast) owned = false;
        yield* this.branch(branch, fork, number === 1 ? shared : position);
      }
    } finally {
      if (owned) release(cache);
    }
  }

  /** Appends the prompt's units up to `end` to the cache, in chunks; returns the logits of the last. */
  private async append(
    { units, adapter }: PromptToPrefill,
    cache: KeyValueCache,
    end: number,
  ): Promise<Float32Array> {
    let logits = new Float32Array();
    while (cache.lengths[0]! < end) {
      throwIfCancelled(this.signal);
      const start = cache.lengths[0]!;
      const chunk = units.slice(start, Math.min(end, start + chunkSize));
      logits = (await this.session.forward({
        inputsEmbeds: await this.promptUnits.embeddings(chunk),
        sequence: chunk.length,
        cache,
        adapters: [adapter],
        logitsIndices: [chunk.length - 1],
        ropeLength: units.length,
      })) as Float32Array<ArrayBuffer>;
    }
    return logits;
  }
}
