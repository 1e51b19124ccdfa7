import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTokenizer, type Tokenizer } from '../../../src/checkpoint/tokenizer.ts';
import { renderChat } from '../../../src/checkpoint/chatTemplate.ts';
import { parseVariants } from '../../../src/methods/chooseVariants.ts';
import { buildVariant } from '../../../src/methods/prepare.ts';
import { extractAnswer } from '../../../src/prag/answerExtraction.ts';
import { fewShotText } from '../../../src/prag/fewShot.ts';
import {
  assistantText,
  finishQuestion,
  pragPrompt,
  questionAnswerPrompt,
  rewritePrompt,
  userText,
} from '../../../src/prag/prompts.ts';
import { trainingSequences } from '../../../src/prag/trainingSequences.ts';
import { UserError } from '../../../src/protocol/errors.ts';
import { assertGolden } from '../../support/golden.ts';
import { demoFolder } from '../../support/oracle.ts';

const passages = ['Harbor listens on port 8080.', 'Harbor replaced {Dock}.'];
const fewShot = fewShotText(
  [{ question: 'Is it red?', answer: 'Roses are red. So the answer is yes.' }],
  'examples.json',
);

/** Qwen's template in short, with a date as Llama's has it. */
const template = `{%- for message in messages %}{{ '<|' + message.role + '|>' + message.content + eos_token + '\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>' + date_string + strftime_now(' %d.%m.%Y') + '\\n' }}{% endif %}`;

/** The demo model's tokenizer with a chat template. */
async function withTemplate(
  text: string,
  use: (tokenizer: Tokenizer) => void | Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'template-'));
  try {
    await cp(join(demoFolder, 'tokenizer.json'), join(folder, 'tokenizer.json'));
    const config = JSON.parse(await readFile(join(demoFolder, 'tokenizer_config.json'), 'utf8')) as object;
    await writeFile(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({ ...config, chat_template: text }),
    );
    await use(await openTokenizer(folder));
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('prompts of Parametric RAG', () => {
  let tokenizer: Tokenizer;
  before(async () => {
    tokenizer = await openTokenizer(demoFolder);
  });

  it('have the words of the authors', () => {
    const shown = {
      'user, with passages': userText({ question: 'Which port does Harbor use', passages }),
      'user, without': userText({ question: 'Which port does Harbor use ?' }),
      'user, chain of thought': userText({ question: 'Why?', passages, fewShot }),
      'assistant, asked': assistantText({}),
      'assistant, trained': assistantText({ answer: ' 8080 ' }),
      'assistant, chain of thought, asked': assistantText({ fewShot }),
      'assistant, chain of thought, trained': assistantText({ fewShot, answer: 'It is 8080.' }),
      rewrite: rewritePrompt(passages[0]!),
      'questions and answers': questionAnswerPrompt(passages[0]!),
    };
    const text = Object.entries(shown).map(([name, value]) => `--- ${name}\n${value}⏎\n`);
    assertGolden('prag/prompts.txt', text.join('\n'));
  });

  it('questions end with one question mark', () => {
    assert.equal(finishQuestion(' Why '), 'Why?');
    assert.equal(finishQuestion('Why ?'), 'Why?');
    assert.equal(finishQuestion('Why?'), 'Why?');
    assert.equal(finishQuestion('Why.'), 'Why.?');
  });

  it('without a chat template: plain text, BOS, the assistant’s beginning by itself', () => {
    const { tokenIds, answerStart, text } = pragPrompt(tokenizer, { question: 'Why?', passages });
    const user = userText({ question: 'Why?', passages });
    assert.equal(text, `${user}\nThe answer is `);
    assert.deepEqual(tokenIds.slice(0, answerStart), tokenizer.encode(`${user}\n`));
    const end = tokenizer.encode('The answer is ', { addSpecialTokens: false });
    assert.deepEqual(tokenIds.slice(answerStart), end);
  });

  it('with a chat template: as it renders, without more special tokens', async () => {
    await withTemplate(template, (withChat) => {
      const { tokenIds, text } = pragPrompt(withChat, { question: 'Why?' });
      const user = userText({ question: 'Why?' });
      const expected = `<|user|>${user}</s>\n<|assistant|>26 Jul 2024 26.07.2024\nThe answer is `;
      assert.equal(text, expected);
      assert.notEqual(tokenIds[0], 0);
      assert.equal(withChat.decode(tokenIds, { skipSpecialTokens: false }), expected);
    });
  });

  it('a template that is broken or refuses gives a clear error', async () => {
    await withTemplate('{% for %}', (broken) => {
      assert.throws(() => renderChat(broken, []), UserError);
    });
    await withTemplate("{{ raise_exception('no user') }}", (refusing) => {
      assert.throws(() => renderChat(refusing, []), /chat template cannot be used for this prompt: no user/);
    });
  });

  it('examples must have questions and answers', () => {
    for (const wrong of [{}, [], [{ question: 'q' }], [null]]) {
      assert.throws(() => fewShotText(wrong, 'f.json'), UserError);
    }
  });

  it('an empty question is refused', () => {
    assert.throws(() => pragPrompt(tokenizer, { question: ' ' }), UserError);
  });

  describe('variants', () => {
    const adapter = { id: 'own', pairs: new Map() };
    const unrelated = { id: 'other', pairs: new Map() };
    const rows = { data: new Float32Array(6), count: 3 };
    const build = (id: string): ReturnType<typeof buildVariant> =>
      buildVariant(parseVariants(id)[0]!, {
        question: 'Why?',
        passages: passages.map((text) => ({ text })),
        tokenizer,
        virtualTokens: rows,
        adapters: { passages: adapter, unrelated },
      });
    const textOf = (id: string): string =>
      build(id)
        .prompt.map((piece) => ('text' in piece ? piece.text : `<${piece.virtualTokens}>`))
        .join('');

    it('show passages and carry adapters as they say', () => {
      const seen = ['icl', 'prag', 'prag+rag', 'placebo', 'spring:2+prag', 'spring:2', 'baseline'].map(
        (id) => [id, textOf(id).includes('8080'), build(id).decoderPrompt.adapter?.id, build(id).k],
      );
      assert.deepEqual(seen, [
        ['icl', true, undefined, 0],
        ['prag', false, 'own', 0],
        ['prag+rag', true, 'own', 0],
        ['placebo', false, 'other', 0],
        ['spring:2+prag', true, 'own', 2],
        ['spring:2', true, undefined, 2],
        ['baseline', true, undefined, 0],
      ]);
      assert.equal(textOf('placebo'), textOf('prag'));
      assert.equal(textOf('prag+rag'), textOf('icl'));
      assert.equal(textOf('spring:2+prag'), textOf('spring:2'));
    });

    it('are refused by other names', () => {
      for (const name of ['rag+prag', 'spring+prag', 'spring:x+prag', 'prag+', 'placebo+rag']) {
        assert.throws(() => parseVariants(name), UserError, name);
      }
    });
  });

  describe('training sequences', () => {
    const question = (n: number): { question: string; answer: string; fullAnswer: string } => ({
      question: `Question ${n}?`,
      answer: `answer ${n}`,
      fullAnswer: `Full answer ${n}.`,
    });
    const augmented = {
      passage: 'The passage.',
      rewrite: 'The rewrite.',
      questionAnswers: [question(1), question(2), question(3)],
    };
    const options = { labels: 'all', maximumLength: 3000 } as const;

    it('two questions with passage and rewrite, one alone, in the authors’ order', () => {
      const sequences = trainingSequences(tokenizer, augmented, options);
      const texts = sequences.map(({ tokenIds }) => tokenizer.decode(tokenIds));
      assertGolden('prag/sequences.txt', texts.map((text) => `---\n${text}⏎\n`).join('\n'));
      assert.deepEqual(
        sequences.map(({ labelStart }) => labelStart),
        [1, 1, 1, 1, 1],
      );
    });

    it('five questions: three of them twice', () => {
      const questionAnswers = [1, 2, 3, 4, 5].map(question);
      assert.equal(trainingSequences(tokenizer, { ...augmented, questionAnswers }, options).length, 8);
    });

    it('answer alone: labels begin with the assistant’s text', () => {
      const [first] = trainingSequences(tokenizer, augmented, { ...options, labels: 'answer' });
      assert.equal(tokenizer.decode(first!.tokenIds.slice(first!.labelStart)), 'The answer is answer 1.');
    });

    it('chain of thought: full answers behind examples', () => {
      const [first] = trainingSequences(tokenizer, augmented, { ...options, fewShot });
      const text = tokenizer.decode(first!.tokenIds);
      assert.ok(text.endsWith('Answer: Full answer 1.') && text.includes(fewShot));
    });

    it('too long sequences lose their end', () => {
      const [whole] = trainingSequences(tokenizer, augmented, options);
      const [cut] = trainingSequences(tokenizer, augmented, { ...options, maximumLength: 20 });
      assert.deepEqual(cut!.tokenIds, whole!.tokenIds.slice(0, 20));
    });
  });
});

describe('answers as the authors of PRAG judge them', () => {
  for (const [mode, text, expected] of [
    ['direct', ' Milan.\nQuestion: next', 'Milan'],
    ['direct', 'Paris, France', 'Paris'],
    ['direct', '\n\nfirst line\nsecond', 'first line'],
    ['direct', '. odd', ''],
    ['direct', 'no stop', 'no stop'],
    ['chainOfThought', 'It is in Italy. So the answer is Milan. More', 'Milan'],
    ['chainOfThought', 'the answer is one. the answer is two', 'one'],
    ['chainOfThought', 'The answer is Milan.', 'The answer is Milan'],
    ['whole', ' Milan. More ', 'Milan. More'],
  ] as const) {
    it(`${mode}: ${JSON.stringify(text)}`, () => {
      assert.equal(extractAnswer(text, mode), expected);
    });
  }
});
