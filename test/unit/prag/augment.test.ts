import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { augmentPassages, type AugmentProgress } from '../../../src/prag/augment.ts';
import { formatAugmentedData, parseAugmentedData } from '../../../src/prag/augmentedData.ts';
import { generatingAugmenter, preparedAugmenter } from '../../../src/prag/augmenter.ts';
import type { TextGenerator } from '../../../src/prag/generators.ts';
import { readQuestionAnswers } from '../../../src/prag/questionAnswers.ts';
import { CancelledError, UserError } from '../../../src/protocol/errors.ts';
import { assertGolden } from '../../support/golden.ts';

const good = (n: number): string =>
  `{"question": "q${n}?", "answer": "a${n}", "full_answer": "It is a${n}."}`;
const list = `[${good(1)}, ${good(2)}, ${good(3)}]`;
const three = [1, 2, 3].map((n) => ({ question: `q${n}?`, answer: `a${n}`, fullAnswer: `It is a${n}.` }));

describe('questions in what a model wrote', () => {
  for (const [what, text] of [
    ['JSON', list],
    ['a code fence', 'Sure! Here you are:\n```json\n' + list + '\n```\nI hope this helps [really].'],
    ['the missing comma of the prompt’s own example', list.replaceAll('", "full', '"\n "full')],
    ['a trailing comma', list.replace(/\]$/, ', \n]')],
    ['single quotes', list.replaceAll('"', "'")],
    ['a list that was cut off behind three', `${list.slice(0, -1)}, {"question": "q4?", "ans`],
    ['a fourth, and an element without an answer', `[{"question": "x"}, ${list.slice(1, -1)}, ${good(4)}]`],
  ] as const) {
    it(`reads ${what}`, () => assert.deepEqual(readQuestionAnswers(text), three));
  }

  it('makes text of other answers, as the authors do', () => {
    const odd = list.replace('"a1"', '7').replace('"a2"', '["x", "y"]').replace('"a3"', 'null');
    assert.deepEqual(
      readQuestionAnswers(odd)!.map(({ answer }) => answer),
      ['7', 'x, y', 'Unknown'],
    );
  });

  for (const text of [
    '',
    'no list',
    '[]',
    `[${good(1)}, ${good(2)}]`,
    '[[[[[[',
    '['.repeat(5000),
    '{"a": [1, 2, 3]}',
  ]) {
    it(`finds none in ${text.slice(0, 30)}`, () => assert.equal(readQuestionAnswers(text), undefined));
  }
});

/** Answers with the given texts, one after the other. */
function scripted(...texts: string[]): TextGenerator & { messages: string[] } {
  const messages: string[] = [];
  return {
    name: 'scripted',
    identity: 'scripted here',
    messages,
    generate: (message) => {
      messages.push(message);
      return Promise.resolve(texts.shift() ?? 'nothing');
    },
  };
}

describe('augmenting passages', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'augment-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const run = async (...args: Parameters<typeof augmentPassages>): Promise<AugmentProgress[]> => {
    const all: AugmentProgress[] = [];
    for await (const progress of augmentPassages(...args)) all.push(progress);
    return all;
  };

  it('asks again until the list is usable, and keeps what it got', async () => {
    const generator = scripted(' other words ', 'rubbish', list);
    const augmented = { passage: 'p', rewrite: 'other words', questionAnswers: three };
    const options = { cacheFolder: folder };
    assert.deepEqual(await run(['p'], generator, options), [{ index: 0, total: 1, augmented, attempts: 2 }]);
    assert.equal(generator.messages.length, 3);
    const again = scripted();
    assert.deepEqual(await run(['p'], again, options), [{ index: 0, total: 1, augmented, attempts: 0 }]);
    assert.equal(again.messages.length, 0);
  });

  it('gives up after the attempts that are allowed, and goes on with the next passage', async () => {
    const generator = scripted('r', 'x', 'y', 'r2', list);
    const [first, second] = await run(['p', 'q'], generator, { maximumAttempts: 2 });
    assert.equal(first!.augmented, undefined);
    assert.equal(second!.augmented?.passage, 'q');
  });

  it('asks again if a cached file is damaged', async () => {
    const options = { cacheFolder: folder };
    await run(['p'], scripted('r', list), options);
    const [name] = await readdir(folder);
    await writeFile(join(folder, name!), '{"passage": "p"');
    const [progress] = await run(['p'], scripted('new', list), options);
    assert.equal(progress!.augmented?.rewrite, 'new');
  });

  it('does not take what a model of the same name elsewhere has written', async () => {
    const options = { cacheFolder: folder };
    await run(['p'], scripted('first words', list), options);
    const elsewhere = { ...scripted('second words', list), identity: 'scripted elsewhere' };
    assert.equal((await run(['p'], elsewhere, options))[0]!.augmented?.rewrite, 'second words');
    assert.equal((await run(['p'], scripted(), options))[0]!.augmented?.rewrite, 'first words');
    const keys = [scripted(), elsewhere].map((generator) => generatingAugmenter(generator, {}).keyOf('p'));
    assert.notEqual(keys[0], keys[1]);
  });

  it('leaves the thoughts of a model out', async () => {
    const generator = scripted('<think>Hm [a].\n</think>\n\nother words', `<think>[1]</think>${list}`);
    const [progress] = await run(['p'], generator);
    assert.deepEqual(progress!.augmented, { passage: 'p', rewrite: 'other words', questionAnswers: three });
  });

  it('asks again for a rewrite that is empty, keeps nothing if it stays empty', async () => {
    const options = { cacheFolder: folder, maximumAttempts: 3 };
    const [silent] = await run(['p'], scripted(' ', '<think>without end', ''), options);
    assert.equal(silent!.augmented, undefined);
    assert.deepEqual(await readdir(folder), []);
    const [second] = await run(['p'], scripted('', 'r', list), options);
    assert.equal(second!.augmented?.rewrite, 'r');
    assert.equal((await readdir(folder)).length, 1);
  });

  it('keeps nothing of a model that writes rubbish, and asks it no more often than allowed', async () => {
    const generator = scripted('r', ...Array.from({ length: 50 }, () => '[{"question": "x"}] '.repeat(200)));
    const [progress] = await run(['p'], generator, { cacheFolder: folder });
    assert.deepEqual([progress!.augmented, progress!.attempts], [undefined, 10]);
    assert.equal(generator.messages.length, 11);
    assert.deepEqual(await readdir(folder), []);
  });

  it('can be cancelled', async () => {
    const signal = AbortSignal.abort();
    await assert.rejects(run(['p'], scripted('r', list), { signal }), CancelledError);
  });

  it('takes prepared passages first; their key is their content', async () => {
    const prepared = { passage: 'p', rewrite: 'r', questionAnswers: three };
    const generating = generatingAugmenter(scripted('made', list), {});
    const augmenter = preparedAugmenter([{ augmented: [prepared] }], generating);
    assert.deepEqual(await augmenter.augment('p'), prepared);
    assert.equal((await augmenter.augment('q'))?.rewrite, 'made');
    const other = preparedAugmenter([{ augmented: [{ ...prepared, rewrite: 's' }] }], generating);
    assert.notEqual(augmenter.keyOf('p'), other.keyOf('p'));
    assert.equal(augmenter.keyOf('q'), other.keyOf('q'));
    assert.equal(await preparedAugmenter([]).augment('p'), undefined);
  });
});

describe('augmented data files', () => {
  const file = [
    {
      test_id: 0,
      qid: 'x',
      question: 'q?',
      answer: ['a', 'b'],
      passages: ['p'],
      augment: [
        {
          pid: 0,
          passage: 'p',
          'model-1_rewrite': 'r',
          'model-1_qa': [{ question: 'q1?', answer: 'a1', full_answer: 'It is a1.' }],
        },
      ],
    },
  ];

  it('are read and written as the authors’', () => {
    const [entry] = parseAugmentedData(file, 'f');
    assert.deepEqual(entry, {
      question: 'q?',
      answers: ['a', 'b'],
      augmented: [
        {
          passage: 'p',
          rewrite: 'r',
          questionAnswers: [{ question: 'q1?', answer: 'a1', fullAnswer: 'It is a1.' }],
        },
      ],
      rest: { test_id: 0, qid: 'x' },
    });
    const written = formatAugmentedData([entry], 'model-1');
    assert.deepEqual(JSON.parse(written), file);
    assertGolden('prag/augmented.json', written);
  });

  it('takes the model that is asked for', () => {
    const two = structuredClone(file) as unknown as { augment: Record<string, unknown>[] }[];
    Object.assign(two[0]!.augment[0]!, { other_rewrite: 'o', other_qa: [] });
    assert.equal(parseAugmentedData(two, 'f', 'other')[0]!.augmented[0]!.rewrite, 'o');
    assert.throws(() => parseAugmentedData(two, 'f', 'third'), /"third_rewrite".*model-1, other/);
  });

  for (const wrong of [
    {},
    [3],
    [{ question: 'q' }],
    [{ question: 3, augment: [] }],
    [{ augment: [{}] }],
    [{ augment: [{ passage: 'p' }] }],
    [{ augment: [{ passage: 'p', m_rewrite: 'r', m_qa: [{ question: 'q' }] }] }],
  ]) {
    it(`refuses ${JSON.stringify(wrong)}`, () => {
      assert.throws(() => parseAugmentedData(wrong, 'f'), UserError);
    });
  }
});
