import assert from 'node:assert/strict';
import type { VirtualTokens } from '../../../src/checkpoint/virtualTokens.ts';
import { parseVariants, tokenFileOf, type ChosenTokenFile } from '../../../src/methods/chooseVariants.ts';
import { UserError } from '../../../src/protocol/errors.ts';
import { variantFrom } from '../../../src/protocol/methods.ts';

const file = (label: string, count: number): ChosenTokenFile => {
  const common = { path: `/tokens/${label}.pt`, sha256: `${label}12345678` };
  return { ...common, label, given: `tokens/${label}.pt`, tokens: { count, ...common } as VirtualTokens };
};
const [a, b] = [file('a', 50), file('b', 10)];

describe('lists of variants', () => {
  it('with one embedding file are what they always were', () => {
    assert.deepEqual(parseVariants('baseline, spring,spring:3', { files: [a] }), [
      ...['baseline', 'spring:50', 'spring:3'],
    ]);
    assert.deepEqual(parseVariants('spring:5'), ['spring:5']);
  });

  it('with several mean each, or the one that is named by label, name or path', () => {
    const files = [a, b];
    assert.deepEqual(parseVariants('spring:3', { files }), ['spring:3@a', 'spring:3@b']);
    assert.deepEqual(parseVariants('spring,spring:10@b', { files, k: [1, 10] }), [
      ...['spring:1@a', 'spring:10@a', 'spring:1@b', 'spring:10@b'],
    ]);
    for (const name of ['b', 'b.pt', 'tokens/b.pt', '/tokens/b.pt'])
      assert.deepEqual(parseVariants(`spring:2+prag@${name}`, { files }), ['spring:2+prag@b']);
    assert.equal(tokenFileOf(variantFrom('spring:3@b'), files), b);
  });

  it('say what is wrong with a name', () => {
    assert.throws(() => parseVariants('spring:3@c', { files: [a, b] }), /embedding file c, but .* are a, b/);
    assert.throws(() => parseVariants('spring:3@c'), /none is given/);
    assert.throws(
      () => parseVariants('spring:11', { files: [a, b] }),
      /11 virtual .*spring:11@b.*b\.pt has 10/,
    );
    assert.throws(() => parseVariants('spring+prag'), /spring\+prag needs virtual tokens/);
    assert.throws(
      () => parseVariants('baseline,magic'),
      (error) => error instanceof UserError && /"magic".*no-rag/.test(error.message),
    );
  });
});
