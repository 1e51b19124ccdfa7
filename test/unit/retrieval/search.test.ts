import assert from 'node:assert/strict';
import { passageText } from '../../../src/retrieval/passageText.ts';
import { fuseRanks } from '../../../src/retrieval/search/fusion.ts';
import { areNearDuplicates, wordSet } from '../../../src/retrieval/search/nearDuplicates.ts';

describe('reciprocal rank fusion', () => {
  it('adds 1 / (60 + rank)', () => {
    const scores = fuseRanks([
      [7, 8],
      [8, 9],
    ]);
    assert.equal(scores.get(8), 1 / 62 + 1 / 61);
    assert.equal(scores.get(7), 1 / 61);
    assert.equal(scores.get(9), 1 / 62);
  });
});

describe('near-duplicates', () => {
  const text =
    'The relay sends each reading to the archive as soon as the line is free and keeps a copy for one week';
  const same = (other: string, asked = '') =>
    areNearDuplicates(wordSet(text), wordSet(other), wordSet(asked).words);
  it('differ in a word or two that nobody asked for', () => {
    assert.ok(same(text.toUpperCase()));
    assert.ok(same(text.replace('each', 'every')));
    assert.ok(!same(text.replace('archive', 'station'), 'where is the station'));
  });
  it('never differ in a number, however long they are', () => {
    const port = (n: number) => wordSet(`${text} ${text} on port ${n}`);
    assert.ok(!areNearDuplicates(port(7070), port(7071), new Set()));
  });
  it('are not merely alike', () => assert.ok(!same('The relay sends nothing at all to anyone')));
});

describe('passageText', () => {
  it('puts the title path above the text, once', () => {
    const hit = {
      text: '## Network\n\nPort 1.\n\nPort 2.',
      headings: ['Dornor', 'Network'],
      headingLines: 1,
    };
    assert.equal(passageText(hit), '# Dornor\n## Network\nPort 1.\nPort 2.');
    assert.equal(
      passageText({ text: 'More.', headings: ['Dornor', 'Network'], headingLines: 0 }),
      '# Dornor\n## Network\nMore.',
    );
    assert.equal(passageText({ text: 'a\nb', headings: [], headingLines: 0 }), 'a\nb');
  });
});
