import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { renderChat } from '../../../src/checkpoint/chatTemplate.ts';
import { openTokenizer, type Tokenizer } from '../../../src/checkpoint/tokenizer.ts';
import type { PromptPart } from '../../../src/decoder/types.ts';
import { planVariant } from '../../../src/methods/plan.ts';
import { buildVariant } from '../../../src/methods/prepare.ts';
import { UnavailableError } from '../../../src/methods/types.ts';
import { methodNames, methodOf } from '../../../src/protocol/methods.ts';
import { chatPromptForm, promptFormKey } from '../../../src/spring/prompts.ts';
import { demoFolder } from '../../support/oracle.ts';

const passages = [{ text: 'Harbor listens on port 8080.' }, { text: 'See [ref1].' }];
const input = { question: 'Which port?', passages };
const rows = { data: Float32Array.from({ length: 12 }, (_, index) => index), count: 6 };
const chatRows = { ...rows, metadata: { [promptFormKey]: chatPromptForm } };

const template =
  "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] | trim }}</>{% endfor %}" +
  '{% if add_generation_prompt %}<assistant>{% endif %}';

const idsOf = (parts: readonly PromptPart[]): number[] =>
  parts.flatMap((part) => ('tokenIds' in part ? [...part.tokenIds] : [-part.rows.count]));

describe('plans', () => {
  let tokenizer: Tokenizer;
  let chatTokenizer: Tokenizer;
  let chatFolder: string;
  before(async () => {
    tokenizer = await openTokenizer(demoFolder);
    chatFolder = await mkdtemp(join(tmpdir(), 'spring-chat-'));
    await cp(demoFolder, chatFolder, { recursive: true });
    await writeFile(join(chatFolder, 'chat_template.jinja'), template);
    chatTokenizer = await openTokenizer(chatFolder);
  });
  after(() => rm(chatFolder, { recursive: true }));

  it('hold passages where the table says so, for every method', () => {
    for (const method of methodNames) {
      const { rows: takesRows, showsPassages } = methodOf({ method });
      const variant = { method, ...(takesRows && { k: 2 }) };
      const { prompt } = planVariant(variant, { ...input, tokens: { count: 6, chat: false } });
      assert.equal(JSON.stringify(prompt.pieces).includes('8080'), showsPassages, method);
      assert.ok(JSON.stringify(prompt.pieces).includes('Which port?'), method);
      assert.equal(JSON.stringify(prompt.pieces).includes('virtualTokens'), takesRows, method);
    }
  });

  it('of context-aware decoding hold the question alone beside the passages, and how much it counts', () => {
    const plan = planVariant({ method: 'cad' }, input);
    assert.deepEqual(plan.prompt, planVariant({ method: 'baseline' }, input).prompt);
    assert.deepEqual(plan.against?.prompt, planVariant({ method: 'no-rag' }, input).prompt);
    assert.equal(plan.against.strength, 0.5);
    assert.equal(plan.label, 'Context-aware decoding a=0.5');
    assert.equal(planVariant({ method: 'cad', strength: 0.3 }, input).against?.strength, 0.3);
    assert.equal(planVariant({ method: 'baseline' }, input).against, undefined);
  });

  it('say what is missing for virtual tokens', () => {
    const missing = (k: number, count?: number) => (): unknown =>
      planVariant({ method: 'spring', k }, { ...input, ...(count && { tokens: { count, chat: false } }) });
    const needs = (message: RegExp) => (error: unknown) =>
      error instanceof UnavailableError && error.needs === 'token-file' && message.test(error.message);
    assert.throws(missing(3), needs(/spring:3 needs virtual tokens, but no embedding file/));
    assert.throws(missing(7, 6), needs(/7 virtual tokens are asked for \(spring:7\).*has 6/));
    assert.doesNotThrow(missing(0));
  });

  it('chat: the instruction prompt in the model’s own template, BOS once', () => {
    const { decoderPrompt, prompt } = buildVariant('chat', { ...input, tokenizer: chatTokenizer });
    const [instruction] = buildVariant('prompt', { ...input, tokenizer }).prompt;
    assert.ok(instruction && 'text' in instruction);
    const content = instruction.text;
    const text = renderChat(chatTokenizer, [{ role: 'user', content }])!;
    assert.ok(text.includes(content.trim()) && text.endsWith('<assistant>'));
    assert.deepEqual(prompt, [{ text }]);
    assert.deepEqual(idsOf(decoderPrompt.parts), tokenizer.encode(text, { addSpecialTokens: false }));
  });

  it('chat: a model without a template cannot be asked so', () => {
    assert.equal(tokenizer.chatTemplate, undefined, 'the demo model is a base model');
    assert.throws(
      () => buildVariant('chat', { ...input, tokenizer }),
      (error) =>
        error instanceof UnavailableError &&
        error.needs === 'model' &&
        /no chat template/.test(error.message),
    );
  });

  it('virtual tokens trained within the template stand within it; what a passage says of them stays text', () => {
    const { decoderPrompt, prompt } = buildVariant('spring:2', {
      ...{ ...input, tokenizer: chatTokenizer, virtualTokens: chatRows },
    });
    assert.deepEqual(prompt, [
      { text: `${textOf(tokenizer, 'bos')}<user>[1] Harbor listens on port 8080.\n[2] See [ref1].\n\n` },
      { virtualTokens: 2 },
      { text: 'Question: Which port?\nAnswer:</><assistant>' },
    ]);
    const { parts } = decoderPrompt;
    assert.equal(parts.filter((part) => 'rows' in part).length, 1);
    assert.deepEqual(parts[1], { rows: { data: rows.data.slice(0, 4), count: 2 } });
    const plain = buildVariant('spring:2', { ...input, tokenizer, virtualTokens: rows });
    assert.ok(!JSON.stringify(plain.prompt).includes('<user>'), 'files that say nothing are asked as ever');
  });
});

function textOf(tokenizer: Tokenizer, role: string): string {
  return (tokenizer.specialTokens as Record<string, string>)[role] ?? '';
}
