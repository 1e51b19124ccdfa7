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
    ['{"question": "q"}', /line 2 has no gold answers/],
    ['{"question": "q", "target": []}', /line 2 has no gold answers/],
    ['{"question": "q", "target": [3]}', /line 2 has no gold answers/],
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
    await assert.rejects(readEvaluationData(join(folder, 'none.jsonl')), /cannot be read/);
    await assert.rejects(readEvaluationData(await write('', ' ')), /holds no questions/);
  });
});
