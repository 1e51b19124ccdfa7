/** Questions and augmented passages as users bring them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readJsonText } from '../../../src/checkpoint/textFile.ts';
import { readEvaluationData } from '../../../src/evaluation/questions.ts';
import { parseAugmentedData } from '../../../src/prag/augmentedData.ts';
import { fewShotText } from '../../../src/prag/fewShot.ts';
import { readTrainingData } from '../../../src/spring/training/data.ts';
import type { FuzzReader, Seed } from '../reader.ts';

const line = (value: unknown): Uint8Array => Buffer.from(`${JSON.stringify(value)}\n`);

const augmented = {
  ...{ question: 'q', answer: ['a'], test_id: 0 },
  augment: [
    { pid: 0, passage: 'p', m_rewrite: 'r', m_qa: [{ question: 'q', answer: 'a', full_answer: 'f' }] },
  ],
};

export const dataFiles: FuzzReader = {
  name: 'data-files',
  seeds: () =>
    Promise.resolve<Seed[]>([
      { 'data.jsonl': line({ question: 'q', target: 'a', ret_passages: ['p', { text: 'r' }] }) },
      { 'data.jsonl': line({ id: 1, question: 'q', golden_answers: [1, 0], choices: ['a', 'b'] }) },
      {
        'data.jsonl': line({
          question: 'q',
          golden_answers: ['a'],
          output: { retrieval_result: [{ contents: 'c' }] },
        }),
      },
      { 'data.jsonl': Buffer.from('{"question": "q", "golden_answers": [4.0], "score": NaN}\n') },
      { 'augmented.json': line([augmented]) },
      { 'few-shot.json': line([{ question: 'q', answer: 'a' }]) },
    ]),
  async read(folder) {
    const data = join(folder, 'data.jsonl');
    if (existsSync(data)) {
      await readEvaluationData(data);
      await readTrainingData(data);
    }
    const passages = join(folder, 'augmented.json');
    if (existsSync(passages)) parseAugmentedData(await readJsonText(passages), passages);
    const examples = join(folder, 'few-shot.json');
    if (existsSync(examples)) fewShotText(await readJsonText(examples), examples);
  },
};
