import assert from 'node:assert/strict';
import { openTokenizer, type Tokenizer } from '../../../src/checkpoint/tokenizer.ts';
import type { PromptPart } from '../../../src/decoder/types.ts';
import type { PromptPiece } from '../../../src/protocol/comparison.ts';
import { UserError } from '../../../src/protocol/errors.ts';
import { parseTemplates } from '../../../src/spring/prompts.ts';
import { tokenizePrompt, tokenizeText } from '../../../src/spring/tokenizePrompt.ts';
import { parseVariants } from '../../../src/methods/chooseVariants.ts';
import { buildVariant } from '../../../src/methods/prepare.ts';
import { assertGolden } from '../../support/golden.ts';
import { demoFolder } from '../../support/oracle.ts';

const passages = [
  { text: 'Harbor listens on port 8080.' },
  { text: '# Harbor\n## History\nIt replaced {Dock}.' },
];
const rows = { data: Float32Array.from({ length: 12 }, (_, index) => index), count: 6 };

describe('prompts', () => {
  let tokenizer: Tokenizer;
  before(async () => {
    tokenizer = await openTokenizer(demoFolder);
  });
  const build = (
    id: Parameters<typeof buildVariant>[0],
    question = 'Which port does {text} use?',
    given = passages,
  ) => buildVariant(id, { question, passages: given, tokenizer, virtualTokens: rows });

  it('of all variants, as the authors build them', () => {
    const ids = ['no-rag', 'baseline', 'prompt', 'spring:0', 'spring:3'] as const;
    const shown = ids.map((id) => `--- ${id} (${build(id).label})\n${show(build(id).prompt)}\n`);
    assertGolden('spring/prompts.txt', shown.join('\n'));
  });

  it('without passages: tokens and question alone', () => {
    assert.deepEqual(build('spring:2', 'Why?', []).prompt, [
      { virtualTokens: 2 },
      { text: 'Question: Why?\nAnswer:' },
    ]);
    assert.deepEqual(build('baseline', 'Why?', []).prompt, [{ text: 'Question: Why?\nAnswer:' }]);
  });

  it('the first k rows stand between the two texts; BOS comes once', () => {
    const parts = build('spring:3').decoderPrompt.parts;
    assert.equal(parts.length, 3);
    assert.deepEqual(parts[1], { rows: { data: rows.data.slice(0, 6), count: 3 } });
    assert.equal(idsOf(parts)[0], 0);
    assert.equal(idsOf(parts).filter((id) => id === 0).length, 1);
  });

  it('spring:0 is the baseline, token for token', () => {
    assert.deepEqual(build('spring:0').decoderPrompt, build('baseline').decoderPrompt);
  });

  it('a document that mentions [ref1] stays text', () => {
    const hostile = [{ text: 'See [ref1][ref2] and [ref9].' }];
    const plain = idsOf(build('baseline', 'And [ref3]?', hostile).decoderPrompt.parts);
    const spring = build('spring:2', 'And [ref3]?', hostile).decoderPrompt.parts;
    assert.deepEqual(idsOf(spring), plain);
    assert.equal(spring.filter((part) => 'rows' in part).length, 1);
  });

  it('names in raw text stand for rows when there are rows, in any order', () => {
    const parts = tokenizeText(tokenizer, 'a[ref2][ref1]b', rows);
    assert.deepEqual(parts[1], { rows: { data: Float32Array.of(2, 3, 0, 1), count: 2 } });
    assert.ok(tokenizeText(tokenizer, 'a[ref2][ref1]b', undefined).every((part) => 'tokenIds' in part));
  });

  it('refuses an empty question and more tokens than the file has', () => {
    assert.throws(() => build('baseline', '  '), UserError);
    assert.throws(() => build('spring:7'), /7 virtual tokens.*has 6/);
    assert.throws(() => tokenizePrompt(tokenizer, [{ virtualTokens: 1 }], undefined), /no embedding file/);
  });

  it('reads lists of variants and templates', () => {
    assert.deepEqual(parseVariants('no-rag, spring:10,spring:10'), ['no-rag', 'spring:10']);
    assert.throws(() => parseVariants('spring'), /variant spring needs virtual tokens/);
    assert.equal(parseTemplates({ passage: '{text};' }).question, 'Question: {question}\nAnswer:');
    assert.throws(() => parseTemplates({ passage: 'x' }), /must contain \{text\}/);
    assert.throws(() => parseTemplates({ pasage: '{text}' }), /no prompt template "pasage"/);
  });
});

function show(pieces: readonly PromptPiece[]): string {
  return pieces
    .map((piece) => ('text' in piece ? piece.text : `<${piece.virtualTokens} virtual tokens>`))
    .join('');
}

function idsOf(parts: readonly PromptPart[]): number[] {
  return parts.flatMap((part) => ('tokenIds' in part ? [...part.tokenIds] : []));
}
