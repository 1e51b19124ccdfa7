/**
 * Decoding prompts that are prefilled: all in one ragged batch, one new token each per pass. Rows that have finished
 * leave the batch.
 */
import type { LoraAdapter } from '../checkpoint/types.ts';
import { throwIfCancelled } from '../protocol/errors.ts';
import type { Answering } from './answering.ts';
import { release, type KeyValueCache } from './keyValueCache.ts';
import type { PromptUnits } from './promptUnits.ts';
import { ropeRegime } from './rope.ts';
import type { DecoderSession } from './session.ts';
import type { DecoderEvent } from './types.ts';

/** A prompt with its first token chosen. */
export interface DecodingRow {
  answering: Answering;
  adapter: LoraAdapter | undefined;
  cache: KeyValueCache;
  /** Its row in the cache. */
  row: number;
}

/** Rows that go through the model together: row i of the cache is entry i. */
type Batch = DecodingRow[];

export class BatchDecoding {
  private readonly session: DecoderSession;
  private readonly promptUnits: PromptUnits;
  private readonly capacity: number;

  /** @param capacity positions that a row may need */
  constructor(session: DecoderSession, promptUnits: PromptUnits, capacity: number) {
    this.session = session;
    this.promptUnits = promptUnits;
    this.capacity = capacity;
  }

  /** Yields the tokens of all rows until each has finished. Takes over their caches (one each, of one row). */
  async *run(rows: readonly DecodingRow[], signal: AbortSignal | undefined): AsyncGenerator<DecoderEvent> {
    const pending = new Set(rows.map(({ cache }) => cache));
    try {
      let batches = await this.regroup(rows, pending);
      while (batches.length > 0) {
        const next: Batch[] = [];
        for (const batch of batches) {
          throwIfCancelled(signal);
          yield* this.step(batch);
          const remaining = batch.filter(({ answering }) => !answering.finished);
          const isWhole = remaining.length === batch.length && !this.mustSplit(batch);
          next.push(...(isWhole ? [batch] : await this.regroup(remaining, pending)));
          if (!isWhole) this.drop(batch[0]!.cache, pending);
        }
        batches = next;
      }
    } finally {
      for (const cache of pending) release(cache);
    }
  }

  private async *step(batch: Batch): AsyncGenerator<DecoderEvent> {
    const { vocabSize } = this.session.config;
    const { cache } = batch[0]!;
    const logits = await this.session.forward({
      inputsEmbeds: await this.promptUnits.embeddings(batch.map(({ answering }) => answering.lastTokenId)),
      sequence: 1,
      cache,
      adapters: batch.map(({ adapter }) => adapter),
      logitsIndices: [0],
      ropeLength: Math.max(...cache.lengths) + 1,
    });
    for (const [row, { answering }] of batch.entries()) {
      yield* answering.accept(logits.subarray(row * vocabSize, (row + 1) * vocabSize));
    }
  }

  /** Rows as batches with caches of their own: one, unless rotary tables depend on the length. */
  private async regroup(rows: readonly DecodingRow[], pending: Set<KeyValueCache>): Promise<Batch[]> {
    const batches: Batch[] = [];
    for (const group of Map.groupBy(rows, (row) => this.regime(row)).values()) {
      const [first] = group;
      if (group.length === 1 && first!.cache.rows === 1) {
        batches.push(group);
        continue;
      }
      const cache = await this.session.gather(group, this.capacity);
      pending.add(cache);
      batches.push(group.map(({ answering, adapter }, row) => ({ answering, adapter, cache, row })));
      for (const source of group) if (source.cache.rows === 1) this.drop(source.cache, pending);
    }
    return batches;
  }

  private mustSplit(batch: Batch): boolean {
    return batch.some((row) => this.regime(row) !== this.regime(batch[0]!));
  }

  private regime({ cache, row }: DecodingRow): string {
    return ropeRegime(this.session.config, cache.lengths[row]! + 1);
  }

  private drop(cache: KeyValueCache, pending: Set<KeyValueCache>): void {
    if (pending.delete(cache)) release(cache);
  }
}
