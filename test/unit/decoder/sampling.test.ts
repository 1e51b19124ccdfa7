import assert from 'node:assert/strict';
import { contrast, Sampler } from '../../../src/decoder/sampling.ts';
import { UserError } from '../../../src/protocol/errors.ts';

const logits = Float32Array.of(1, 3, 2, -1, 2.5);

function draw(settings: object, times: number, stream = 0): number[] {
  const sampler = new Sampler({ maxNewTokens: 1, ...settings }, stream, []);
  return Array.from({ length: times }, () => sampler.next(logits).tokenId);
}

describe('contrastive logits', () => {
  it('go away from the other prompt’s, and stay at strength 0', () => {
    const [logits, against] = [Float32Array.of(1, 2, -1), Float32Array.of(1, 4, 0)];
    assert.deepEqual(contrast(logits, against, 0.5), Float32Array.of(1, 1, -1.5));
    assert.deepEqual(contrast(logits, against, 0), logits);
  });
});

describe('sampling', () => {
  it('greedy takes the largest logit, the first of equals', () => {
    assert.deepEqual(draw({}, 3), [1, 1, 1]);
    assert.equal(new Sampler({ maxNewTokens: 1 }, 0, []).next(Float32Array.of(5, 5)).tokenId, 0);
  });

  it('log-probabilities are those of the softmax, alternatives sorted', () => {
    const { logProbability, alternatives } = new Sampler({ maxNewTokens: 1, alternatives: 3 }, 0, []).next(
      logits,
    );
    const total = [...logits].reduce((sum, logit) => sum + Math.exp(logit), 0);
    assert.ok(Math.abs(logProbability - (3 - Math.log(total))) < 1e-6);
    assert.deepEqual(
      alternatives.map(({ tokenId }) => tokenId),
      [1, 4, 2],
    );
    assert.equal(alternatives[0]!.logProbability, logProbability);
  });

  it('frequencies follow the probabilities at the temperature', () => {
    const drawn = draw({ temperature: 0.7, seed: 3 }, 20_000);
    const weights = [...logits].map((logit) => Math.exp(logit / 0.7));
    const total = weights.reduce((a, b) => a + b);
    for (const [token, weight] of weights.entries()) {
      const share = drawn.filter((id) => id === token).length / drawn.length;
      assert.ok(Math.abs(share - weight / total) < 0.015, `token ${token}: ${share} for ${weight / total}`);
    }
  });

  it('top-k and top-p leave the unlikely out', () => {
    assert.deepEqual([...new Set(draw({ temperature: 1, topK: 2 }, 500))].sort(), [1, 4]);
    // probabilities 0.41, 0.25, 0.15, ...: 0.5 needs two tokens
    assert.deepEqual([...new Set(draw({ temperature: 1, topP: 0.5 }, 500))].sort(), [1, 4]);
    assert.deepEqual([...new Set(draw({ temperature: 1, topP: 0.01 }, 50))], [1]);
  });

  it('a seed repeats, another seed or stream differs', () => {
    const settings = { temperature: 2, seed: 7 };
    assert.deepEqual(draw(settings, 50), draw(settings, 50));
    assert.notDeepEqual(draw(settings, 50), draw({ ...settings, seed: 8 }, 50));
    assert.notDeepEqual(draw(settings, 50), draw(settings, 50, 1));
  });

  it('the repetition penalty divides positive logits and multiplies negative ones, of prompt and answer', () => {
    const sampler = new Sampler({ maxNewTokens: 1, repetitionPenalty: 2 }, 0, [1]);
    assert.deepEqual(
      [sampler.next(logits).tokenId, sampler.next(logits).tokenId, sampler.next(logits).tokenId],
      [4, 2, 1],
    );
    const negative = new Sampler({ maxNewTokens: 1, repetitionPenalty: 2 }, 0, [0]);
    assert.equal(negative.next(Float32Array.of(-1, -1.5)).tokenId, 1);
  });

  it('logits that are not finite are an error, not an answer', () => {
    for (const bad of [NaN, Infinity]) {
      assert.throws(
        () => new Sampler({ maxNewTokens: 1 }, 0, []).next(Float32Array.of(1, bad, 2)),
        UserError,
      );
    }
    assert.throws(
      () => new Sampler({ maxNewTokens: 1 }, 0, []).next(Float32Array.of(-Infinity, -Infinity)),
      /not finite/,
    );
    assert.equal(new Sampler({ maxNewTokens: 1 }, 0, []).next(Float32Array.of(-Infinity, 0)).tokenId, 1);
  });
});
