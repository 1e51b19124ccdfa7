/** Passages and the context: what is said before a run is what the run does. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, it } from 'mocha';
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts';
import { openTokenizer } from '../../src/checkpoint/tokenizer.ts';
import { ComparisonEngine } from '../../src/engine/comparison.ts';
import { fitPassages, PassageFitter } from '../../src/engine/passageFit.ts';
import type { Answer, ComparisonRequest, VariantPlan } from '../../src/protocol/comparison.ts';
import type { Passage } from '../../src/protocol/passages.ts';

const demo = join(import.meta.dirname, '../../media/demo');

describe('passages and the context', () => {
  const engine = new ComparisonEngine();
  after(() => engine.unload());

  const words = (name: string, count: number): string =>
    Array.from({ length: count }, (_, place) => `${name}${place % 7}`).join(' ');
  const passages: Passage[] = ['alpha', 'beta', 'gamma'].map((name, place) => ({
    text: `The port of ${name} is 80${place}. ${words(name, 40)}`,
    path: `${name}.md`,
    score: 1 - place / 10,
  }));
  const own: Passage = { text: 'Added by hand: the port of delta is 99.' };
  const request: ComparisonRequest = {
    ...{ model: 'demo', device: 'cpu', precision: 'auto', tokenFile: 'spring-demo' },
    question: 'Which port does alpha listen on?',
    passages: [...passages, own],
    variants: ['no-rag', 'baseline', 'spring:10'],
    settings: { maxNewTokens: 4 },
  };

  async function run(asked: ComparisonRequest): Promise<{ plans: VariantPlan[]; answers: Answer[] }> {
    const plans: VariantPlan[] = [];
    const answers: Answer[] = [];
    for await (const event of engine.compare(asked)) {
      if (event.type === 'prepared') plans.push(...event.variants);
      if (event.type === 'answer') answers.push(event.answer);
    }
    return { plans, answers };
  }
  const textOf = ({ prompt }: VariantPlan): string =>
    prompt.map((piece) => ('text' in piece ? piece.text : '')).join('');

  it('leaves out the last retrieved passages, whole and in every column, until all fit', async () => {
    const { tokens, room, leftOut } = await new PassageFitter().fit(request);
    assert.ok(tokens > room, `${tokens} of ${room}: the test wants an overflow`);
    assert.ok(leftOut.length > 0 && !leftOut.includes(0) && !leftOut.includes(3), String(leftOut));
    assert.equal(leftOut.at(-1), 2);
    const { plans, answers } = await run(request);
    for (const plan of plans) {
      const shown = [...passages, own].map(({ text }) => textOf(plan).includes(text));
      const expected = [0, 1, 2, 3].map((place) => plan.id !== 'no-rag' && !leftOut.includes(place));
      assert.deepEqual(shown, expected, plan.id);
    }
    assert.ok(
      answers.every(({ truncatedTokens, promptTokens }) => truncatedTokens === 0 && promptTokens <= room),
    );
  });

  it('counts as the run does', async () => {
    const { tokens, leftOut } = await new PassageFitter().fit({ ...request, passages: [own] });
    assert.deepEqual(leftOut, []);
    const { answers } = await run({ ...request, passages: [own] });
    assert.equal(tokens, Math.max(...answers.map(({ promptTokens }) => promptTokens)));
  });

  it('cuts the start where that is asked for', async () => {
    const { plans, answers } = await run({
      ...request,
      settings: { maxNewTokens: 4, longPrompt: 'cut-left' },
    });
    assert.ok(textOf(plans[1]!).includes(passages[2]!.text));
    assert.ok(answers.some(({ truncatedTokens }) => truncatedTokens > 0));
  });

  it('drops what the user added only when nothing else is left, and counts nothing for columns without passages', async () => {
    const { config } = await openCheckpoint(demo);
    const tokenizer = await openTokenizer(demo, config.vocabSize);
    const long = { text: words('omega', 400) };
    const fit = (asked: Partial<ComparisonRequest>) =>
      fitPassages({ ...request, ...asked }, { tokenizer, config });
    assert.deepEqual(fit({ passages: [passages[0]!, long] }).leftOut, [0, 1]);
    assert.deepEqual(fit({ passages: [long], variants: ['no-rag'] }), { ...fit({}), tokens: 0, leftOut: [] });
    assert.equal(fit({ variants: ['prag+rag'] }).tokens, fit({ variants: ['icl'] }).tokens);
    assert.equal(fit({ variants: ['spring:7+prag'] }).tokens, fit({ variants: ['spring:7'] }).tokens);
  });
});
