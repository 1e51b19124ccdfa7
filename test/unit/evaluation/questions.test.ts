import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readEvaluationData } from '../../../src/evaluation/questions.ts';
import { UserError } from '../../../src/protocol/errors.ts';

describe('evaluation data', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'evaluation-'));
  });
  after(() => rm(folder, { recursive: true }));

  const write = async (...lines: (object | string)[]): Promise<string> => {
    const file = join(folder, 'data.jsonl');
    const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
    await writeFile(file, text.join('\n'));
    return file;
  };

  it("reads the formats of SPRING's authors and of FlashRAG", async () => {
    const file = await write(
      '\uFEFF{"question": "q1", "target": "one", "ret_passages": ["p", "r"]}',
      '',
      { id: 'nq-7', question: 'q2', golden_answers: ['a', 'b'] },
      {
        question: 'q3',
        golden_answers: ['c'],
        output: { retrieval_result: [{ id: '4', contents: 'Title\nText' }] },
      },
      { id: 9, question: 'q4', target: ['d'], ret_passages: [{ text: 'x' }] },
    );
    const { items, sha256 } = await readEvaluationData(file);
    assert.deepEqual(items, [
      { id: '1', question: 'q1', goldAnswers: ['one'], passages: [{ text: 'p' }, { text: 'r' }] },
      { id: 'nq-7', question: 'q2', goldAnswers: ['a', 'b'], passages: [] },
      { id: '4', question: 'q3', goldAnswers: ['c'], passages: [{ text: 'Title\nText' }] },
      { id: '9', question: 'q4', goldAnswers: ['d'], passages: [{ text: 'x' }] },
    ]);
    assert.match(sha256, /^[0-9a-f]{64}$/);
  });

  it("reads FlashRAG's multiple choice, numbers, and lines that Python wrote", async () => {
    const file = await write(
      { id: 'm', question: 'Port?', golden_answers: [1], choices: ['80', '1883', '443'] },
      { id: 'two', question: 'Which?', golden_answers: [2, 0], choices: ['a', 'b', 'c'] },
      { id: 'texts', question: 'Which?', golden_answers: ['b'], choices: ['a', 'b'] },
      { id: 'none', question: 'Port?', golden_answers: [80], choices: [] },
      '{"id": "n", "question": "6 * 7?", "golden_answers": [42]}',
      '{"id": "f", "question": "q", "target": [42.0, 0.10, 1e-5, 1e16, 1152921504606846977, -0, 12e3]}',
      '{"id": "x", "question": "NaN \\"Infinity", "golden_answers": ["NaN"], "metadata": {"score": NaN, "b": [-Infinity]}}',
    );
    const { items } = await readEvaluationData(file);
    assert.deepEqual(
      items.map(({ id, goldAnswers }) => [id, ...goldAnswers]),
      [
        ['m', '1883'],
        ['two', 'c', 'a'],
        ['texts', 'b'],
        ['none', '80'],
        ['n', '42'],
        ['f', '42.0', '0.1', '1e-05', '1e+16', '1152921504606846977', '0', '12000.0'],
        ['x', 'NaN'],
      ],
    );
    assert.equal(items.at(-1)!.question, 'NaN "Infinity');
  });

  it('leaves out lines without an answer, and says which', async () => {
    const file = await write(
      { question: 'q1', golden_answers: ['a'] },
      { question: 'q2', golden_answers: [] },
      { question: 'q3', golden_answers: ['', 'b'] },
      '',
      { question: 'q4', target: null },
      { question: 'q5', target: '' },
      { question: 'q6' },
      '{"question": "q7", "golden_answers": [NaN]}',
    );
    const { items, unanswered } = await readEvaluationData(file);
    assert.deepEqual(
      items.map(({ id, question, goldAnswers }) => [id, question, ...goldAnswers]),
      [
        ['1', 'q1', 'a'],
        ['3', 'q3', 'b'],
      ],
    );
    assert.deepEqual(unanswered, [2, 5, 6, 7, 8]);
    await assert.rejects(readEvaluationData(await write({ question: 'q' })), /has no gold answers/);
  });

  it('reads UTF-16, with a mark or without, and refuses what is neither it nor UTF-8', async () => {
    const file = join(folder, 'wide.jsonl');
    const text = '{"question": "Wo wächst 稲?", "target": "Köln"}\n';
    const little = Buffer.from(text, 'utf16le');
    const big = Buffer.from(little).swap16();
    for (const bytes of [
      Buffer.from(`\ufeff${text}`, 'utf16le'),
      Buffer.from(`\ufeff${text}`, 'utf16le').swap16(),
      little,
      big,
      Buffer.from(`\ufeff${text}`),
    ]) {
      await writeFile(file, bytes);
      const { items } = await readEvaluationData(file);
      assert.deepEqual([items[0]!.question, items[0]!.goldAnswers], ['Wo wächst 稲?', ['Köln']]);
    }
    for (const [bytes, message] of [
      [Buffer.from(text, 'latin1'), /wide\.jsonl is not UTF-8 text \(nor UTF-16\): save it as UTF-8/],
      [Buffer.from(`\ufeff${text}`, 'utf16le').subarray(0, -1), /looks like UTF-16 text, but is damaged/],
      [Buffer.from([0xff, 0xfe, 0, 0, 0x7b, 0, 0, 0]), /not UTF-8/],
    ] as const) {
      await writeFile(file, bytes);
      await assert.rejects(readEvaluationData(file), message);
    }
  });

  it('counts lines where ids repeat', async () => {
    const item = { id: 'same', question: 'q', target: 'a' };
    const { items } = await readEvaluationData(await write(item, item));
    assert.deepEqual(
      items.map(({ id }) => id),
      ['1', '2'],
    );
  });

  for (const [line, message] of [
    ['{"question": "q"', /data\.jsonl, line 2 is not valid JSON/],
    ['[]', /line 2 is not a JSON object/],
    ['{"target": "a"}', /line 2 has no "question"/],
    ['{"prefix": "", "suffix": "", "completion": "x"}', /line 2 has no "question".*Raw training examples/],
    ['{"question": " ", "target": "a"}', /line 2 has no "question"/],
    ['{"question": "q", "target": {}}', /line 2 has gold answers of another kind/],
    ['{"question": "q", "target": [true]}', /line 2 has gold answers of another kind/],
    [
      '{"question": "q", "golden_answers": [3], "choices": ["a"]}',
      /line 2: its answer is choice 3, but .* 0 to 0/,
    ],
    ['{"question": "q", "golden_answers": [-1], "choices": ["a"]}', /its answer is choice -1/],
    ['{"question": "q", "golden_answers": [0.5], "choices": ["a"]}', /its answer is choice 0\.5/],
    ['{"question": NaN, "target": "a"}', /line 2 has no "question"/],
    ['{"question": "q", "target": NaNa}', /line 2 is not valid JSON/],
    ['{"question": "q", "target": "a", "ret_passages": "p"}', /line 2: the passages are not a list/],
    ['{"question": "q", "target": "a", "ret_passages": [{}]}', /line 2: passage 1 is no text/],
  ] as const) {
    it(`refuses ${line}`, async () => {
      const file = await write({ question: 'q', target: 'a' }, line);
      await assert.rejects(
        readEvaluationData(file),
        (error) => error instanceof UserError && message.test(error.message),
      );
    });
  }

  it('refuses a missing and an empty file', async () => {
    await assert.rejects(readEvaluationData(join(folder, 'none.jsonl')), /none\.jsonl is missing/);
    await assert.rejects(readEvaluationData(await write('', ' ')), /holds no questions/);
  });
});
