import assert from 'node:assert/strict';
import type { Sequence } from '../../../src/decoder/keyValueMemory.ts';
import { PrefixCache } from '../../../src/decoder/prefixCache.ts';

const length = 40;
const bytesPerPosition = 32;
const entryBytes = length * bytesPerPosition;

function units(start: number, count = length): number[] {
  return Array.from({ length: count }, (_, i) => start + i);
}

describe('prefix cache', () => {
  let released: Sequence[];
  const cacheOf = (bytes: number): PrefixCache =>
    new PrefixCache(bytes, bytesPerPosition, (sequence) => released.push(sequence));
  beforeEach(() => (released = []));

  it('finds the longest start in common, within the limit', () => {
    const cache = cacheOf(10 * entryBytes);
    const [a, b] = [{ length }, { length }];
    cache.store('key', [...units(0, 20), ...units(500, 20)], a);
    cache.store('key', [...units(0, 30), ...units(900, 10)], b);
    assert.deepEqual(released, []);
    const found = cache.find('key', units(0), 39);
    assert.equal(found?.sequence, b);
    assert.equal(found.length, 30);
    assert.equal(cache.find('key', units(0), 25)?.length, 25);
  });

  it('another adapter or model finds nothing, nor do a few tokens', () => {
    const cache = cacheOf(10 * entryBytes);
    cache.store('key', units(0), { length });
    assert.equal(cache.find('other', units(0), 39), undefined);
    assert.equal(cache.find('key', [...units(0, 15), ...units(700, 20)], 34), undefined);
  });

  it('forgets what was used least recently, and what a new prompt contains, and gives their memory back', () => {
    const cache = cacheOf(2 * entryBytes);
    const sequences = [{ length }, { length }, { length }];
    for (const [index, sequence] of sequences.entries()) {
      if (index === 2) cache.find('key', units(0), 39); // the first is used again
      cache.store('key', units(1000 * index), sequence);
    }
    assert.deepEqual(released, [sequences[1]]);
    cache.store('key', [...units(0), 7], { length: length + 1 });
    assert.ok(released.includes(sequences[0]!));
    cache.clear();
    assert.equal(released.length, 4);
  });
});
