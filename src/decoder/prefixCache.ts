/**
 * Prefilled prompts kept from earlier questions: asking again on the same passages does not run them through the
 * model again. Bounded in bytes, least recently used out first.
 */
import { LRUCache } from 'lru-cache';
import { release, retain, type KeyValueCache } from './keyValueCache.ts';
import { commonPrefixLength, type Units } from './promptUnits.ts';

/** A find of fewer positions would cost more to copy than it saves. */
const minimumLength = 16;

interface Entry {
  key: string;
  units: Units;
  /** Row 0 holds the units; who else owns it may write behind them. */
  cache: KeyValueCache;
}

export class PrefixCache {
  private readonly entries: LRUCache<number, Entry>;
  private nextNumber = 0;

  /**
   * @param maxBytes of keys and values in all
   * @param elementBytes bytes of one element of them
   */
  constructor(maxBytes: number, elementBytes: number) {
    this.entries = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: ({ cache }) =>
        cache.tensors.reduce((bytes, { size }) => bytes + elementBytes * size, 1),
      dispose: ({ cache }) => release(cache),
    });
  }

  /**
   * The stored prompt with the longest start in common, and how long that is (at most `maxLength`). The caller owns
   * the cache too, must not write to it and releases it.
   */
  find(key: string, units: Units, maxLength: number): { cache: KeyValueCache; length: number } | undefined {
    let best: { number: number; length: number } | undefined;
    for (const [number, entry] of this.entries.entries()) {
      if (entry.key !== key) continue;
      const length = Math.min(commonPrefixLength([entry.units, units]), maxLength);
      if (length >= minimumLength && length > (best?.length ?? 0)) best = { number, length };
    }
    if (!best) return undefined;
    return { cache: retain(this.entries.get(best.number)!.cache), length: best.length };
  }

  /** Keeps a prefilled prompt; earlier ones that it mostly contains are dropped. */
  store(key: string, units: Units, cache: KeyValueCache): void {
    for (const [number, entry] of this.entries.entries()) {
      const common = entry.key === key ? commonPrefixLength([entry.units, units]) : 0;
      if (common >= 0.75 * entry.units.length) this.entries.delete(number);
    }
    this.entries.set(this.nextNumber++, { key, units, cache: retain(cache) });
  }

  clear(): void {
    this.entries.clear();
  }
}
