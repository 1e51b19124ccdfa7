/** Keys and values of the text before the virtual tokens: constants of training, kept between epochs. */
import { LRUCache } from 'lru-cache';
import type { EmbeddingTable } from '../../checkpoint/embeddingTable.ts';
import { keysAndValuesOf } from '../../decoder/hostKeyValues.ts';
import { keyValueBytes } from '../../checkpoint/memory.ts';
import type { PastKeysAndValues } from '../../decoder/keyValueMemory.ts';
import { ropeRegime } from '../../decoder/rope.ts';
import type { DecoderSession } from '../../decoder/session.ts';
import { throwIfCancelled } from '../../protocol/errors.ts';

/** Positions per pass: between passes a cancellation is felt. */
const chunkSize = 256;

export class PassageCache {
  private readonly session: DecoderSession;
  private readonly embeddings: EmbeddingTable;
  private readonly known: LRUCache<string, PastKeysAndValues> | undefined;

  /** @param budgetBytes the least recently used are dropped beyond this; 0 keeps none */
  constructor(session: DecoderSession, embeddings: EmbeddingTable, budgetBytes: number) {
    this.session = session;
    this.embeddings = embeddings;
    this.known =
      budgetBytes > 0
        ? new LRUCache({
            maxSize: budgetBytes,
            sizeCalculation: ({ length }) => Math.max(1, keyValueBytes(session.config, length)),
          })
        : undefined;
  }

  /**
   * The keys and values of a prefix. Every prefix is run alone: its numbers then do not depend on what else
   * is trained or still known, which makes a resumed run exact.
   * @param sequenceLength of the whole example, for rotary tables that depend on it
   */
  async get(
    prefixIds: readonly number[],
    sequenceLength: number,
    signal?: AbortSignal,
  ): Promise<{ past: PastKeysAndValues; wasKnown: boolean }> {
    const key = `${ropeRegime(this.session.config, sequenceLength)} ${prefixIds.join(' ')}`;
    const known = this.known?.get(key);
    if (known) return { past: known, wasKnown: true };
    const sequence = await this.session.memory.create(prefixIds.length);
    for (let start = 0; start < prefixIds.length; start += chunkSize) {
      throwIfCancelled(signal);
      const chunk = prefixIds.slice(start, start + chunkSize);
      const run = { sequence, adapter: undefined, ropeLength: sequenceLength, logitsAt: [chunk.length - 1] };
      await this.session.forward([{ ...run, inputsEmbeds: await this.embeddings.rows(chunk) }]);
    }
    const past = keysAndValuesOf(sequence);
    this.known?.set(key, past);
    return { past, wasKnown: false };
  }
}
