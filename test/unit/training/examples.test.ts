import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTokenizer, type Tokenizer } from '../../../src/checkpoint/tokenizer.ts';
import { readModelConfig } from '../../../src/checkpoint/checkpoint.ts';
import type { ModelConfig } from '../../../src/checkpoint/types.ts';
import type { TrainingSettings } from '../../../src/protocol/training.ts';
import { readTrainingData, type TrainingItem } from '../../../src/spring/training/data.ts';
import { ExampleEncoder } from '../../../src/spring/training/examples.ts';
import { defaultTrainingSettings } from '../../../src/spring/training/settings.ts';
import { demoFolder } from '../../support/oracle.ts';

const settings: TrainingSettings = { ...defaultTrainingSettings, numTokens: 4, steps: 1, maxLength: 512 };

describe('training examples', () => {
  let folder: string;
  let tokenizer: Tokenizer;
  let config: ModelConfig;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'examples-'));
    tokenizer = await openTokenizer(demoFolder);
    config = await readModelConfig(demoFolder);
  });
  after(() => rm(folder, { recursive: true }));

  const read = async (...records: unknown[]): Promise<TrainingItem[]> => {
    const file = join(folder, 'data.jsonl');
    const text = records.map((record) => (typeof record === 'string' ? record : JSON.stringify(record)));
    await writeFile(file, text.join('\n'));
    return (await readTrainingData(file)).items;
  };
  const textOf = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: false });
  const encode = (
    item: TrainingItem,
    changes: Partial<TrainingSettings> = {},
    epoch = 0,
  ): { prefix: string; suffix: string; completion: string } => {
    const example = new ExampleEncoder(tokenizer, config, { ...settings, ...changes }).encode(item, 0, epoch);
    return {
      prefix: textOf(example.prefixIds),
      suffix: textOf(example.suffixIds),
      completion: textOf(example.completionIds),
    };
  };

  it('writes questions as the authors do, and learns the answer and EOS', async () => {
    const [item] = await read({ question: 'Who?', target: ['Ann', 'Anna'], ret_passages: ['One.', 'Two.'] });
    assert.deepEqual(encode(item!, { passages: 'all' }), {
      prefix: '<s>[1] One.\n[2] Two.\n\n',
      suffix: 'Question: Who?\nAnswer:',
      completion: ' Ann</s>',
    });
  });

  it('begins with BOS alone where there are no passages', async () => {
    const [item] = await read({ question: 'Who?', target: 'Ann' });
    assert.deepEqual(encode(item!), {
      prefix: '<s>',
      suffix: 'Question: Who?\nAnswer:',
      completion: ' Ann</s>',
    });
  });

  it('reads FlashRAG files with retrieval results', async () => {
    const passages = [{ id: 3, contents: 'One.' }];
    const [first, second] = await read(
      { id: 'a', question: 'Who?', golden_answers: ['Ann'], retrieval_result: passages },
      { id: 'b', question: 'Who?', golden_answers: ['Ann'], output: { retrieval_result: passages } },
    );
    assert.equal(encode(first!).prefix, '<s>[1] One.\n\n');
    assert.deepEqual(encode(second!), encode(first!));
  });

  it('adds nothing to raw examples', async () => {
    const [item] = await read({ prefix: 'Before.', suffix: ' Then', completion: ' after' });
    assert.deepEqual(encode(item!), { prefix: '<s>Before.', suffix: ' Then', completion: ' after' });
    const [bare] = await read({ completion: 'x' });
    assert.deepEqual(encode(bare!), { prefix: '<s>', suffix: '', completion: 'x' });
  });

  it('draws 1 to 5 shuffled passages, the same in every epoch unless they are resampled', async () => {
    const ret_passages = ['A', 'B', 'C', 'D', 'E', 'F', 'G'];
    const [item] = await read({ question: 'Who?', target: 'Ann', ret_passages });
    const numbersOf = (changes: Partial<TrainingSettings>, epoch: number): string =>
      [...encode(item!, changes, epoch).prefix.matchAll(/\] (\w)/g)].map(([, letter]) => letter).join('');
    const draws = Array.from({ length: 60 }, (_, epoch) => numbersOf({ passages: 'resample' }, epoch));
    assert.deepEqual([...new Set(draws.map(({ length }) => length))].sort(), [1, 2, 3, 4, 5]);
    assert.ok(draws.every((letters) => new Set(letters).size === letters.length));
    assert.deepEqual(
      draws.map((_, epoch) => numbersOf({ passages: 'sample' }, epoch)),
      draws.map(() => draws[0]),
    );
    assert.notDeepEqual(draws[0], numbersOf({ seed: 1 }, 0));
  });

  it('cuts passages that are too long from the left and keeps BOS', async () => {
    const [item] = await read({ question: 'Who?', target: 'Ann', ret_passages: ['word '.repeat(200)] });
    const encoder = new ExampleEncoder(tokenizer, config, { ...settings, maxLength: 60 });
    const { prefixIds, suffixIds, completionIds } = encoder.encode(item!, 0, 0);
    assert.equal(prefixIds.length + 4 + suffixIds.length + completionIds.length, 60);
    assert.equal(prefixIds[0], config.bosTokenId);
    assert.ok(textOf(prefixIds).endsWith('word \n\n'));
  });

  it('refuses what does not fit otherwise', async () => {
    const [raw, long] = await read(
      { prefix: 'word '.repeat(200), completion: 'x' },
      { question: 'why '.repeat(200), target: 'x' },
    );
    assert.throws(() => encode(raw!, { maxLength: 60 }), /line 1 has \d+ tokens/);
    assert.throws(() => encode(long!, { maxLength: 60 }), /line 2 has \d+ tokens/);
  });

  for (const [what, line, message] of [
    ['broken JSON', '{"question": ', /line 1 is not valid JSON/],
    ['a list', '[]', /line 1 is not a JSON object/],
    [
      'neither question nor completion',
      '{"text": "x"}',
      /line 1 has neither a "question" nor a "completion"/,
    ],
    ['no answer', '{"question": "Who?"}', /has no gold answers/],
    ['an empty answer', '{"question": "Who?", "target": [""]}', /has no gold answers/],
    ['an empty completion', '{"completion": ""}', /line 1: the completion is empty/],
    ['passages that are no texts', '{"question": "Who?", "target": "x", "ret_passages": [3]}', /passage 1/],
    ['nothing', '', /holds no questions or examples/],
  ] as const) {
    it(`refuses ${what}`, async () => {
      await assert.rejects(() => read(line), message);
    });
  }
});
