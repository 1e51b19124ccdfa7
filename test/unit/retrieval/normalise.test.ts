import assert from 'node:assert/strict';
import { normalise } from '../../../src/retrieval/search/normalise.ts';
import { matchExpression, queryTerms, searchableText } from '../../../src/retrieval/search/terms.ts';
import { placesOf, TestWorkspace } from './workspace.ts';

/** Every query finds the one passage of the text. */
async function assertFound(text: string, queries: readonly string[]): Promise<void> {
  using workspace = new TestWorkspace({ 'a.md': text, 'b.md': 'Quite another text.' });
  using index = workspace.open();
  await workspace.update(index);
  for (const query of queries) assert.deepEqual(await placesOf(index, query), ['a.md:1'], query);
}

describe('text and query', () => {
  it('meet in Korean without the particles', () =>
    assertFound('대전에서 만난 박철수는 도서관의 책을 읽었다.', [
      '대전',
      '박철수',
      '도서관',
      '책',
      '책은 어디',
      '도서관에서',
    ]));

  it('meet in scripts without spaces, also by one character', async () => {
    await assertFound('図書館の本と山', ['図書館', '本', '山', '図書']);
    await assertFound('ເມືອງຫຼວງພະບາງ', ['ຫຼວງ', 'ພະບາງ']);
    await assertFound('ห้องสมุดแห่งชาติ', ['สมุด', 'แห่งชาติ']);
    await assertFound('データベースサーバー', ['サーバー', 'ベース']);
    await assertFound('បណ្ណាល័យជាតិ', ['ជាតិ']);
  });

  it('meet in any of the forms of a letter', async () => {
    await assertFound('계획서와 ガラス'.normalize('NFD'), ['계획서', 'ガラス', 'ｶﾞﾗｽ']);
    await assertFound('型番ＸＹＺ９８７は ﾐﾄﾞﾘ です', ['XYZ987', 'ミドリ', 'xyz987']);
    await assertFound('CO₂ and ﬁre on 20 m², No. Ⅳ', ['CO2', 'fire', 'm2', 'IV']);
    await assertFound('CO2 fire m2', ['CO₂', 'ﬁre', 'm²']);
  });

  it('meet without what nobody sees', async () => {
    await assertFound('in\u00ADter\u00ADna\u00ADtion\u00ADal zero\u200Bspace \u202Abidi\u202C', [
      'international',
      'zerospace',
      'bidi',
    ]);
    await assertFound('internal plain', ['in\u00ADternal', '\uFEFFplain\u200D']);
    await assertFound('max\u2011retry\u2011count and м’ята', [
      'max-retry-count',
      'maxRetryCount',
      'мʼята',
      "м'ята",
    ]);
  });

  it('meet without vowel points and accents that most texts leave out', async () => {
    await assertFound('مَدْرَسَة كبيرة', ['مدرسة']);
    await assertFound('שָׁלוֹם', ['שלום']);
    await assertFound('Ἀθήνα, ёлка, Straße, İzmir', ['αθηνα', 'елка', 'strasse', 'izmir', 'ΑΘΗΝΑ']);
  });

  it('tell words of Indic scripts apart by their vowel signs', async () => {
    using workspace = new TestWorkspace({ 'a.md': 'किताब', 'b.md': 'कातिब' });
    using index = workspace.open();
    await workspace.update(index);
    assert.deepEqual(await placesOf(index, 'किताब'), ['a.md:1']);
  });

  it('keep words apart from marks at their end', () => {
    assert.equal(normalise('Kleenex™ and treaty³'), 'Kleenex  and treaty 3');
    assert.equal(normalise('plain'), 'plain');
  });
});

describe('one-character words', () => {
  it('are the beginning of a pair or the end of a run', () => {
    assert.equal(searchableText('山水画'), ' 山水 水画 画 ');
    assert.equal(matchExpression(queryTerms('画')), '"画"*');
    assert.equal(matchExpression(queryTerms('山水')), '"山水"');
    assert.equal(matchExpression(queryTerms('a b')), '"b"');
  });
});

describe('a long query', () => {
  const code = Array.from({ length: 700 }, (_, line) => `result${line} = step${line}(input${line})`).join(
    '\n',
  );
  it('finds what its end, its beginning or its middle ask for', async () => {
    const files = {
      'a.md': 'The pangolin sleeps under the pier.',
      'b.md': 'Code of the input, step by step, with an error in the result.',
    };
    using workspace = new TestWorkspace(files);
    using index = workspace.open();
    await workspace.update(index);
    const short = code.split('\n').slice(0, 150).join('\n');
    for (const query of [
      `An error in this code:\n${code}\nWhere does the pangolin sleep?`,
      `Where does the pangolin sleep?\n${code}`,
      `${short}\npangolin pier\n${short}`,
    ]) {
      assert.equal((await placesOf(index, query))[0], 'a.md:1');
    }
  });
  it('of millions of characters is answered soon', async () => {
    using workspace = new TestWorkspace({ 'a.md': 'The pangolin sleeps under the pier.' });
    using index = workspace.open();
    await workspace.update(index);
    const started = performance.now();
    assert.deepEqual(await placesOf(index, `${'aB1.'.repeat(1e6)} pangolin`), ['a.md:1']);
    assert.ok(performance.now() - started < 5000);
  });
});
