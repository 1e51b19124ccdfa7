/**
 * Answers that cross longrope's original length: each token must be the one that the whole sequence, computed anew,
 * gives. So Phi-3 is meant, whose keys all turn by the long factors once a sequence is longer.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Decoder } from '../../src/decoder/decoder.ts';
import { allLogits, generations } from '../support/decoding.ts';
import { architectureFolder, readArchitecture } from '../support/oracle.ts';

const originalLength = 56;
const newTokens = 6;

describe('longrope across the original length', () => {
  const golden = readArchitecture('phi-4-mini');
  const ids = [...golden.prefix_ids, ...golden.suffix_ids, ...golden.spring_training.target_ids];
  let decoder: Decoder;
  before(async () => {
    decoder = await Decoder.open(join(architectureFolder, 'phi-4-mini'), { device: 'cpu', precision: 'f32' });
  });
  after(() => decoder.dispose());

  const promptOf = (length: number) => ({ parts: [{ tokenIds: ids.slice(0, length) }] });
  const answersTo = async (ofLengths: readonly number[]): Promise<number[][]> => {
    const settings = { maxNewTokens: newTokens, ignoreEos: true };
    return (await generations(decoder, ofLengths.map(promptOf), settings)).map(({ tokenIds }) => tokenIds);
  };

  /** The answer without anything kept. */
  async function recomputed(length: number): Promise<number[]> {
    const tokenIds = ids.slice(0, length);
    for (let step = 0; step < newTokens; step++) {
      const logits = await allLogits(decoder, { parts: [{ tokenIds }] }, [tokenIds.length - 1]);
      tokenIds.push(logits.indexOf(Math.max(...logits)));
    }
    return tokenIds.slice(length);
  }

  const lengths = [
    originalLength - newTokens,
    originalLength - 3,
    originalLength - 1,
    originalLength,
    originalLength + 1,
  ];
  for (const length of lengths) {
    it(`a prompt of ${length} tokens`, async () => {
      const expected = await recomputed(length);
      assert.deepEqual(await answersTo([length]), [expected]);
      // and again, with what the first time left in the cache of prompts
      assert.deepEqual(await answersTo([length]), [expected]);
    });
  }

  it('prompts that cross at different times, and one that has crossed, in one comparison', async () => {
    const expected = await Promise.all(lengths.map(recomputed));
    assert.deepEqual(await answersTo(lengths), expected);
    assert.deepEqual(await answersTo(lengths.toReversed()), expected.toReversed());
  });
});
