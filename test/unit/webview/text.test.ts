import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { PromptPiece } from '../../../src/protocol/comparison.ts';
import { choicesOf, confidenceOf, percentOf, visibleText } from '../../../webview/text/confidence.ts';
import { describeDifferences, findDifferences } from '../../../webview/text/differences.ts';
import { bytes, count, duration, placeOf } from '../../../webview/text/format.ts';
import { findPassageSpans, indexPassages } from '../../../webview/text/passageSpans.ts';
import { passagesInPrompt } from '../../../webview/text/promptPassages.ts';
import { runsOf } from '../../../webview/text/segments.ts';
import { wordsOf, type Span } from '../../../webview/text/words.ts';

const cut = (text: string, spans: readonly Span[]) => spans.map(({ start, end }) => text.slice(start, end));

describe('webview: words', () => {
  it('keeps numbers, names with underscores and accents together', () => {
    const text = 'Set HARBOR_PORT=127.0.0.1; naïve?';
    assert.deepEqual(cut(text, wordsOf(text)), ['Set', 'HARBOR_PORT', '127.0.0.1', 'naïve']);
  });

  it('finds words where none are spaced, and counts in UTF-16', () => {
    const chinese = '端口是8080';
    assert.ok(wordsOf(chinese).length >= 2);
    const [, word] = wordsOf('😀 a b');
    assert.deepEqual([word?.start, word?.end], [5, 6]);
  });

  it('takes different cases and forms for the same word', () => {
    assert.equal(wordsOf('ＰＯＲＴ')[0]?.key, wordsOf('port')[0]?.key);
  });
});

describe('webview: differences between answers', () => {
  it('marks the words that the reference does not have, and counts both ways', () => {
    const answer = 'Harbor listens on port 9090, not here.';
    const found = findDifferences('Harbor listens on port 8080.', answer);
    assert.deepEqual(cut(answer, found.added), ['9090, not here']);
    assert.equal(found.addedWords, 3);
    assert.equal(found.omittedWords, 1);
  });

  it('ignores case, punctuation and white space', () => {
    const found = findDifferences('The port is 8080.', 'the  PORT is: 8080');
    assert.deepEqual(found, { added: [], addedWords: 0, omittedWords: 0 });
    assert.equal(describeDifferences(found, 'Baseline'), 'Same words as Baseline');
  });

  it('compares with an empty answer', () => {
    assert.deepEqual(cut('one two', findDifferences('', 'one two').added), ['one two']);
    assert.equal(findDifferences('one two', '').omittedWords, 2);
  });
});

describe('webview: spans of an answer in passages', () => {
  const passages = [
    { id: 'a', text: 'Harbor listens on port 8080 unless HARBOR_PORT is set.' },
    { id: 'b', text: 'Of the two, Harbor listens on port 8080 in production.' },
  ];
  const found = (answer: string) =>
    findPassageSpans(answer, indexPassages(passages)).map(({ start, end, passageId, inPassage }) => {
      const { text } = passages.find(({ id }) => id === passageId)!;
      return [answer.slice(start, end), passageId, text.slice(inPassage.start, inPassage.end)];
    });

  it('finds a quotation in the passage that has most of it', () => {
    assert.deepEqual(found('It says: harbor listens on port 8080 in production!'), [
      ['harbor listens on port 8080 in production', 'b', 'Harbor listens on port 8080 in production'],
    ]);
  });

  it('takes the earlier of two passages with the same words', () => {
    assert.deepEqual(found('Harbor listens on port 8080'), [
      ['Harbor listens on port 8080', 'a', 'Harbor listens on port 8080'],
    ]);
  });

  it('counts a short run only if it has a number or is the whole answer', () => {
    assert.deepEqual(found('Surely 8080, of the usual'), [['8080', 'a', '8080']]);
    assert.deepEqual(found('HARBOR_PORT'), [['HARBOR_PORT', 'a', 'HARBOR_PORT']]);
    assert.deepEqual(found('Use HARBOR_PORT instead'), []);
  });

  it('takes neither stop words nor single digits for evidence', () => {
    const source = indexPassages([{ id: 'a', text: 'It is the 1 that has 30 of the 2 in it.' }]);
    const spans = (answer: string) => cut(answer, findPassageSpans(answer, source));
    assert.deepEqual(spans('us-east-1'), []);
    assert.deepEqual(spans('1'), []);
    assert.deepEqual(spans('so it is the first, of the 2 in a row'), []);
    assert.deepEqual(spans('about 30 years'), ['30']);
    assert.deepEqual(spans('the 1 that has 30'), ['the 1 that has 30']);
  });

  it('finds nothing in nothing', () => {
    assert.deepEqual(findPassageSpans('', indexPassages(passages)), []);
    assert.deepEqual(findPassageSpans('Harbor listens on', []), []);
  });
});

describe('webview: passages in a prompt', () => {
  const known = [
    { id: 'a', text: 'Harbor is a server.' },
    { id: 'b', text: 'It listens on 8080.' },
    { id: 'c', text: 'Nobody asked.' },
  ];
  const numbers = (...pieces: PromptPiece[]) =>
    passagesInPrompt(pieces, known).map(({ id, number }) => [id, number]);

  it('are those that stand there, numbered as the prompt does it', () => {
    const text = '[1] It listens on 8080.\n[2] Harbor is a server.\n\n';
    assert.deepEqual(numbers({ text }, { virtualTokens: 3 }, { text: 'Question: Nobody?' }), [
      ['b', 1],
      ['a', 2],
    ]);
    assert.deepEqual(numbers({ text: 'Passage 7: Nobody asked.\n' }), [['c', 7]]);
    assert.deepEqual(numbers({ text: 'Nobody asked. Harbor is a server.' }), [
      ['c', 1],
      ['a', 2],
    ]);
  });

  it('are none without a prompt, or in one of the question alone', () => {
    assert.deepEqual(passagesInPrompt(null, known), []);
    assert.deepEqual(numbers({ text: 'Question: Which port?' }), []);
  });
});

describe('webview: layers of an answer', () => {
  it('cuts where a difference or a passage begins and ends, and loses no letter', () => {
    const text = 'one two three four';
    const source = { start: 4, end: 13, passageId: 'p', inPassage: { start: 0, end: 9 } };
    const runs = runsOf(text, [{ start: 8, end: 18 }], [source]);
    assert.deepEqual(
      runs.map(({ source: from, parts }) => [from?.passageId ?? null, parts]),
      [
        [null, [{ text: 'one ', added: false }]],
        [
          'p',
          [
            { text: 'two ', added: false },
            { text: 'three', added: true },
          ],
        ],
        [null, [{ text: ' four', added: true }]],
      ],
    );
    assert.equal(runs.flatMap(({ parts }) => parts.map((part) => part.text)).join(''), text);
  });
});

describe('webview: confidence', () => {
  it('sorts tokens by probability', () => {
    const of = (probability: number) => confidenceOf({ logProbability: Math.log(probability) });
    assert.deepEqual([of(0.95), of(0.6), of(0.2)], ['sure', 'unsure', 'doubtful']);
  });

  it('writes probabilities and invisible tokens', () => {
    assert.equal(percentOf(0), '100 %');
    assert.equal(percentOf(Math.log(0.123)), '12.3 %');
    assert.equal(percentOf(-20), '< 0.1 %');
    assert.equal(visibleText({ tokenId: 7, text: ' a\n' }), '␣a⏎');
    assert.equal(visibleText({ tokenId: 7, text: '' }), 'token 7');
  });

  it('lists the chosen token once, at its place', () => {
    const token = {
      tokenId: 1,
      text: 'a',
      logProbability: -2,
      alternatives: [
        { tokenId: 2, text: 'b', logProbability: -1 },
        { tokenId: 1, text: 'a', logProbability: -2 },
      ],
    };
    assert.deepEqual(
      choicesOf(token).map(({ text, chosen }) => [text, chosen]),
      [
        ['b', false],
        ['a', true],
      ],
    );
  });
});

describe('webview: wording', () => {
  it('writes numbers with their units', () => {
    assert.equal(count(1, 'file'), '1 file');
    assert.equal(count(1200, 'file'), '1,200 files');
    assert.equal(duration(85.4), '85 ms');
    assert.equal(duration(1234), '1.2 s');
    assert.equal(duration(125_000), '2 min 5 s');
    assert.equal(bytes(9_412_000), '9.4 MB');
    assert.equal(bytes(12), '12 bytes');
  });

  it('says where a passage is from', () => {
    const base = {
      id: '1',
      ticked: true,
      rank: null,
      titlePath: [],
      bm25Rank: null,
      vectorRank: null,
    } as const;
    const place = (passage: { path?: string; startLine?: number; endLine?: number }) =>
      placeOf({ ...base, titlePath: [], origin: 'retrieved', passage: { text: '', ...passage } });
    assert.equal(place({ path: 'a.md', startLine: 3, endLine: 9 }), 'a.md:3–9');
    assert.equal(place({ path: 'a.md', startLine: 3, endLine: 3 }), 'a.md:3');
    assert.equal(place({ path: 'a.md' }), 'a.md');
    assert.equal(
      placeOf({ ...base, titlePath: [], origin: 'by-hand', passage: { text: '' } }),
      'Added by hand',
    );
  });
});
