/** Keys and values of the text before the virtual tokens: constants of training, kept between epochs. */
import { LRUCache } from 'lru-cache';
import type { EmbeddingTable } from '../../checkpoint/embeddingTable.ts';
import { keyValueBytes, type KeyValueCache } from '../../decoder/keyValueCache.ts';
import { ropeRegime } from '../../decoder/rope.ts';
import type { DecoderSession } from '../../decoder/session.ts';
import { throwIfCancelled } from '../../protocol/errors.ts';

/** Positions per pass: between passes a cancellation is felt. */
const chunkSize = 256;

export class PassageCache {
  private readonly session: DecoderSession;
  private readonly embeddings: EmbeddingTable;
  private readonly known: LRUCache<string, KeyValueCache> | undefined;

  /** @param budgetBytes the least recently used are dropped beyond this; 0 keeps none */
  constructor(session: DecoderSession, embeddings: EmbeddingTable, budgetBytes: number) {
    this.session = session;
    this.embeddings = embeddings;
    this.known =
      budgetBytes > 0
        ? new LRUCache({
            maxSize: budgetBytes,
            sizeCalculation: ({ capacity }) => Math.max(1, keyValueBytes(session.config, capacity)),
          })
        : undefined;
  }

  /**
   * The keys and values of a prefix, one row. Every prefix is run alone: its numbers then do not depend on what else
   * is trained or still known, which makes a resumed run exact.
   * @param sequenceLength of the whole example, for rotary tables that depend on it
   */
  async get(
    prefixIds: readonly number[],
    sequenceLength: number,
    signal?: AbortSignal,
  ): Promise<{ cache: KeyValueCache; wasKnown: boolean }> {
    const key = `${ropeRegime(this.session.config, sequenceLength)} ${prefixIds.join(' ')}`;
    const known = this.known?.get(key);
    if (known) return { cache: known, wasKnown: true };
    const cache = await this.session.allocate(1, prefixIds.length);
    for (let start = 0; start < prefixIds.length; start += chunkSize) {
      throwIfCancelled(signal);
      const chunk = prefixIds.slice(start, start + chunkSize);
      await this.session.forward({
        inputsEmbeds: await this.embeddings.rows(chunk),
        sequence: chunk.length,
        cache,
        adapters: [undefined],
        logitsIndices: [chunk.length - 1],
        ropeLength: sequenceLength,
      });
    }
    this.known?.set(key, cache);
    return { cache, wasKnown: false };
  }
}
