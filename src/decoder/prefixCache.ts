/**
 * Prefilled prompts kept from earlier questions: asking again on the same passages does not run them through the
 * model again. Bounded in bytes, least recently used out first.
 */
import { LRUCache } from 'lru-cache';
import type { Sequence } from './keyValueMemory.ts';
import { commonPrefixLength, type Units } from './promptUnits.ts';

/** A find of fewer positions would cost more to copy than it saves. */
const minimumLength = 16;

interface Entry {
  key: string;
  units: Units;
  /** Holds the units and nothing else. */
  sequence: Sequence;
}

export class PrefixCache {
  private readonly entries: LRUCache<number, Entry>;
  private nextNumber = 0;

  /**
   * @param maxBytes of keys and values in all
   * @param bytesPerPosition of keys and values
   * @param release gives a sequence's memory back
   */
  constructor(maxBytes: number, bytesPerPosition: number, release: (sequence: Sequence) => void) {
    this.entries = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: ({ units }) => Math.max(1, units.length * bytesPerPosition),
      dispose: ({ sequence }) => release(sequence),
    });
  }

  /**
   * The stored prompt with the longest start in common, and how long that is (at most `maxLength`). It is the cache's:
   * valid until something is stored.
   */
  find(key: string, units: Units, maxLength: number): { sequence: Sequence; length: number } | undefined {
    let best: { number: number; length: number } | undefined;
    for (const [number, entry] of this.entries.entries()) {
      if (entry.key !== key) continue;
      const length = Math.min(commonPrefixLength([entry.units, units]), maxLength);
      if (length >= minimumLength && length > (best?.length ?? 0)) best = { number, length };
    }
    if (!best) return undefined;
    return { sequence: this.entries.get(best.number)!.sequence, length: best.length };
  }

  /** Keeps a prefilled prompt, and takes over its sequence; earlier ones that it mostly contains are dropped. */
  store(key: string, units: Units, sequence: Sequence): void {
    for (const [number, entry] of this.entries.entries()) {
      const common = entry.key === key ? commonPrefixLength([entry.units, units]) : 0;
      if (common >= 0.75 * entry.units.length) this.entries.delete(number);
    }
    this.entries.set(this.nextNumber++, { key, units, sequence });
  }

  clear(): void {
    this.entries.clear();
  }
}
