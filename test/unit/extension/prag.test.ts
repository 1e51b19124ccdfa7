import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { lossChange, sparkline } from '../../../src/extension/prag/lossText.ts';
import {
  adapterProblems,
  missingMessage,
  neededAdapters,
  unencodable,
  unencodableKey,
} from '../../../src/extension/prag/neededAdapters.ts';

describe('adapters that a comparison needs', () => {
  it('are those of the passages, of the placebo, or none', () => {
    const texts = ['a', 'b'];
    assert.deepEqual(neededAdapters(['baseline', 'icl', 'spring:5'], texts), { passages: [], unrelated: 0 });
    for (const variant of ['prag', 'prag+rag', 'spring:5+prag'] as const) {
      assert.deepEqual(neededAdapters([variant], texts), { passages: texts, unrelated: 0 });
    }
    assert.deepEqual(neededAdapters(['placebo'], texts), { passages: [], unrelated: 2 });
    assert.deepEqual(neededAdapters(['placebo', 'prag'], []), { passages: [], unrelated: 1 });
  });

  it('are asked for, but not again if they cannot be made', () => {
    const needed = { passages: ['a', 'b'], unrelated: 1 };
    assert.equal(missingMessage('m', needed, []), null);
    assert.match(missingMessage('m', needed, ['b'])!, /^1 of the 2 ticked passages is not encoded for m/);
    assert.match(missingMessage('m', needed, ['a', 'b'])!, /^The 2 ticked passages are/);
    assert.match(missingMessage('m', needed, ['tides'])!, /placebo/);
    unencodable.add(unencodableKey('m', 'b'));
    assert.equal(missingMessage('m', needed, ['b']), null);
    assert.notEqual(missingMessage('other', needed, ['b']), null);
  });
});

describe('variants without their adapters', () => {
  it('are told apart by whose adapters are missing, and whether encoding helps', () => {
    const needed = { passages: ['own'], unrelated: 1 };
    const problems = (missing: string[]): unknown =>
      Object.entries(adapterProblems('n', needed, missing)).map(([kind, problem]) => [
        kind,
        problem.canEncode,
      ]);
    assert.deepEqual(problems([]), []);
    assert.deepEqual(problems(['own']), [['passages', true]]);
    assert.deepEqual(problems(['tides']), [['unrelated', true]]);
    assert.deepEqual(problems(['own', 'tides']), [
      ['passages', true],
      ['unrelated', true],
    ]);
    unencodable.add(unencodableKey('n', 'own'));
    assert.deepEqual(problems(['own']), [['passages', false]]);
    assert.match(adapterProblems('n', needed, ['own']).passages!.message, /no usable questions/);
  });
});

describe('a loss curve as text', () => {
  it('falls from high to low, within its width', () => {
    assert.equal(sparkline([8, 7, 6, 5, 4, 3, 2, 1]), '█▇▆▅▄▃▂▁');
    assert.equal(
      sparkline(
        Array.from({ length: 100 }, (_, place) => -place),
        10,
      ).length,
      10,
    );
    assert.equal(sparkline([1, 1]), '▁▁');
    assert.equal(sparkline([]), '');
    assert.equal(sparkline([NaN]), '');
  });

  it('is summarised by its ends', () => {
    assert.equal(lossChange([2.306, 1, 0.42]), '2.31 → 0.42');
    assert.equal(lossChange([]), '');
  });
});
