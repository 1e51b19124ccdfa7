import assert from 'node:assert/strict';
import { HostCacheMemory, release, type KeyValueCache } from '../../../src/decoder/keyValueCache.ts';
import { PrefixCache } from '../../../src/decoder/prefixCache.ts';
import type { ModelConfig } from '../../../src/checkpoint/types.ts';

const config = { numLayers: 1, numKeyValueHeads: 1, headDim: 4 } as ModelConfig;
const memory = new HostCacheMemory(config);
const positions = 40;
/** Bytes of a cache of one row. */
const cacheBytes = 2 * positions * 4 * 4;

async function filled(): Promise<KeyValueCache> {
  return memory.allocate(1, positions);
}

function units(start: number, length = positions): number[] {
  return Array.from({ length }, (_, i) => start + i);
}

describe('prefix cache', () => {
  it('finds the longest start in common, within the limit', async () => {
    const cache = new PrefixCache(10 * cacheBytes, 4);
    const [a, b] = [await filled(), await filled()];
    cache.store('key', [...units(0, 20), ...units(500, 20)], a);
    cache.store('key', [...units(0, 30), ...units(900, 10)], b);
    const found = cache.find('key', units(0), 39);
    assert.equal(found?.cache, b);
    assert.equal(found.length, 30);
    assert.equal(cache.find('key', units(0), 25)?.length, 25);
  });

  it('another adapter or model finds nothing, nor do a few tokens', async () => {
    const cache = new PrefixCache(10 * cacheBytes, 4);
    cache.store('key', units(0), await filled());
    assert.equal(cache.find('other', units(0), 39), undefined);
    assert.equal(cache.find('key', [...units(0, 15), ...units(700, 20)], 34), undefined);
  });

  it('forgets what was used least recently, and frees it once nobody owns it', async () => {
    const cache = new PrefixCache(2 * cacheBytes + 8, 4);
    const caches = [await filled(), await filled(), await filled()];
    for (const [index, stored] of caches.entries()) {
      if (index === 2) release(cache.find('key', units(0), 39)!.cache); // the first is used again
      cache.store('key', units(1000 * index), stored);
      release(stored); // the cache is its only owner now
    }
    assert.equal(caches[1]!.owners, 0);
    assert.equal(caches[1]!.tensors.length, 0);
    assert.deepEqual([caches[0]!.owners, caches[2]!.owners], [1, 1]);
    cache.clear();
    assert.deepEqual([caches[0]!.owners, caches[2]!.owners], [0, 0]);
  });

  it('releasing more often than owning is a mistake that shows', async () => {
    const cache = await filled();
    release(cache);
    assert.throws(() => release(cache), /released more often/);
  });
});
