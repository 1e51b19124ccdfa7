import assert from 'node:assert/strict';
import {
  accuracy,
  exactMatch,
  mean,
  normalizeAnswer,
  scorePrediction,
  tokenOverlap,
} from '../../../src/evaluation/metrics.ts';
import { shareInterval } from '../../../src/evaluation/statistics/shareInterval.ts';

describe('metrics', () => {
  it('normalises case, punctuation, articles and spaces, in this order', () => {
    const cases: [string, string][] = [
      ['The  Eiffel\tTower!', 'eiffel tower'],
      ['An apple a day, the doctor', 'apple day doctor'],
      ['a', ''],
      ['theatre another a1', 'theatre another a1'],
      // the hyphen goes without leaving a space, as string.punctuation does
      ['U.S.-led', 'usled'],
      // punctuation that is not ASCII stays
      ['“quoted” – dash', '“quoted” – dash'],
      ['à la carte', 'à la carte'],
      // an article beside a letter of another script is no word of its own
      ['aé a', 'aé'],
      ['ÉCOLE', 'école'],
      ['the-a', 'thea'],
      [' \n ', ''],
    ];
    for (const [text, expected] of cases) assert.equal(normalizeAnswer(text), expected, text);
  });

  it("splits where Python's str.split() does", () => {
    // Values of FlashRAG's normalize_answer in Python 3.11.
    const cases: [string, string][] = [
      ['new\u0085york', 'new york'],
      ['new\u001fyork', 'new york'],
      ['new\u001cyork', 'new york'],
      ['\ufeffyork', '\ufeffyork'],
      ['new\ufeffyork', 'new\ufeffyork'],
      ['a\u00a0new\u2003\u3000york\u200b', 'new york\u200b'],
      ['\u0085the\u001d', ''],
      ['new\u180eyork\u2060', 'new\u180eyork\u2060'],
    ];
    for (const [text, expected] of cases) assert.equal(normalizeAnswer(text), expected, JSON.stringify(text));
    assert.equal(exactMatch('New\u0085York', ['new york']), 1);
    assert.equal(exactMatch('York', ['\ufeffYork']), 0);
    assert.equal(tokenOverlap('new\u001eyork', ['york']).recall, 1);
  });

  it('exact match: any gold answer, normalised', () => {
    assert.equal(exactMatch('The Beatles.', ['Rolling Stones', 'beatles']), 1);
    assert.equal(exactMatch('Beatles, the band', ['beatles']), 0);
    assert.equal(exactMatch('', ['the']), 1);
    assert.equal(exactMatch('x', []), 0);
  });

  it('accuracy: a gold answer is contained', () => {
    assert.equal(accuracy('It was Paris, I think', ['paris']), 1);
    assert.equal(accuracy('Parisian', ['paris']), 1);
    assert.equal(accuracy('It was Paris', ['Paris, France']), 0);
    assert.equal(accuracy('London', ['Paris', 'london']), 1);
  });

  it('F1 counts words as often as they stand on both sides', () => {
    const overlap = tokenOverlap('new york new york', ['New York City']);
    assert.equal(overlap.precision, 2 / 4);
    assert.equal(overlap.recall, 2 / 3);
    assert.ok(Math.abs(overlap.f1 - 4 / 7) < 1e-12);
    assert.deepEqual(tokenOverlap('x', ['y']), { f1: 0, precision: 0, recall: 0 });
    assert.deepEqual(tokenOverlap('', ['']), { f1: 0, precision: 0, recall: 0 });
  });

  it('F1, precision and recall are each the best over the gold answers', () => {
    const overlap = tokenOverlap('red blue', ['red', 'red blue green yellow']);
    assert.equal(overlap.recall, 1); // of the first
    assert.equal(overlap.precision, 1); // of the second
    assert.ok(Math.abs(overlap.f1 - 2 / 3) < 1e-12);
  });

  it('yes, no and noanswer must agree as a whole', () => {
    assert.equal(tokenOverlap('yes', ['yes it is']).f1, 0);
    assert.equal(tokenOverlap('no way', ['no']).f1, 0);
    assert.equal(tokenOverlap('noanswer', ['noanswer given']).f1, 0);
    assert.equal(tokenOverlap('Yes.', ['yes']).f1, 1);
    assert.equal(tokenOverlap('yes', ['no', 'yes']).f1, 1);
  });

  it('scores of one prediction', () => {
    const { f1, precision, recall, ...rest } = scorePrediction('in the city of Diwello', ['Diwello']);
    assert.deepEqual(rest, { exactMatch: 0, accuracy: 1 });
    assert.deepEqual([f1, precision, recall], [0.4, 0.25, 1]);
  });

  it('mean of nothing is 0', () => {
    assert.equal(mean([]), 0);
    assert.equal(mean([1, 0, 0.5]), 0.5);
  });

  it("Wilson's interval", () => {
    // values of R's binom.confint(method = "wilson")
    const [low, high] = shareInterval(0.5, 10);
    assert.ok(Math.abs(low - 0.2365931) < 1e-6 && Math.abs(high - 0.7634069) < 1e-6);
    assert.ok(shareInterval(0, 100)[1] > 0.03);
    assert.equal(shareInterval(0, 100)[0], 0);
    assert.deepEqual(shareInterval(0, 0), [0, 1]);
  });
});
