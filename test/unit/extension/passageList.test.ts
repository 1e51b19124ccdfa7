import assert from 'node:assert/strict';
import { mergeHits } from '../../../src/extension/panel/passageList.ts';

describe('passages of the panel', () => {
  it('of one path in two workspace folders stay apart; the folder is no part of a record', () => {
    const found = {
      bm25Rank: 1,
      vectorRank: null,
      ...{ score: 1, headings: ['Title'], headingLines: 0, duplicates: [] },
      path: 'README.md',
      startLine: 1,
      endLine: 2,
    };
    const hits = ['/home/one', '/home/two'].map((folder, place) => ({
      ...found,
      folder,
      rank: place + 1,
      text: `Text of ${folder}`,
    }));
    const passages = mergeHits(hits, [], 1);
    assert.deepEqual(
      passages.map(({ folder, ticked }) => [folder, ticked]),
      [
        ['/home/one', true],
        ['/home/two', false],
      ],
    );
    for (const { passage, titlePath } of passages) {
      assert.ok(!('folder' in passage));
      assert.deepEqual(titlePath, ['Title']);
      assert.match(passage.text, /^# Title\nText of/);
    }
  });
});
