import assert from 'node:assert/strict';
import type { ModelConfig } from '../../../src/checkpoint/types.ts';
import { fitToContext } from '../../../src/decoder/context.ts';
import { commonPrefixLength } from '../../../src/decoder/promptUnits.ts';

const config = { maxPositionEmbeddings: 10, bosTokenId: 7 } as ModelConfig;
const units = [7, 1, 2, 3, 4, 5, 6, 8, 9];

describe('fitting a prompt into the context', () => {
  it('leaves a prompt that fits', () => {
    assert.deepEqual(fitToContext(units, config, { maxNewTokens: 50 }), { units, truncatedTokens: 0 });
  });

  it('refuses one that does not, with both numbers', () => {
    assert.throws(
      () => fitToContext([...units, 1, 2], config, { maxNewTokens: 1 }),
      /11 tokens.*context is 10/,
    );
    assert.throws(() => fitToContext([], config, { maxNewTokens: 1 }), /empty/);
  });

  it('cuts from the left, keeps BOS and leaves room for the answer', () => {
    const fitted = fitToContext(units, config, { maxNewTokens: 4, overflow: 'truncate-left' });
    assert.deepEqual(fitted, { units: [7, 4, 5, 6, 8, 9], truncatedTokens: 3 });
    const withoutBos = fitToContext(units.slice(1), config, { maxNewTokens: 5, overflow: 'truncate-left' });
    assert.deepEqual(withoutBos, { units: [4, 5, 6, 8, 9], truncatedTokens: 3 });
  });
});

describe('common prefix', () => {
  it('of several lists', () => {
    assert.equal(
      commonPrefixLength([
        [1, 2, 3],
        [1, 2, 4],
        [1, 2],
      ]),
      2,
    );
    assert.equal(commonPrefixLength([[1, 2, 3]]), 3);
    assert.equal(commonPrefixLength([[1], [2]]), 0);
    assert.equal(commonPrefixLength([]), 0);
  });
});
