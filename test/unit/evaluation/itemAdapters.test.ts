import assert from 'node:assert/strict';
import type { LoraAdapter } from '../../../src/checkpoint/types.ts';
import type { Condition } from '../../../src/evaluation/conditions.ts';
import { ItemAdapters } from '../../../src/evaluation/itemAdapters.ts';
import type { EvaluationItem } from '../../../src/evaluation/questions.ts';
import type { EncodeProgress, PassageEncoder } from '../../../src/prag/encode.ts';
import { unrelatedPassages } from '../../../src/prag/unrelatedPassages.ts';

function item(id: number, ...passages: string[]): EvaluationItem {
  return {
    id: String(id),
    question: `q${id}`,
    goldAnswers: ['a'],
    passages: passages.map((text) => ({ text })),
  };
}

/** Encodes every passage but "bad"; says what it was asked. */
function fakeEncoder(): PassageEncoder & { asked: string[][] } {
  const asked: string[][] = [];
  const encode = async function* (passages: readonly string[]): AsyncGenerator<EncodeProgress> {
    asked.push([...passages]);
    await Promise.resolve();
    for (const [index, passage] of passages.entries()) {
      const common = { index, total: passages.length, passage };
      const adapter: LoraAdapter = { id: passage, pairs: new Map() };
      if (passage === 'bad') yield { ...common, type: 'failed', reason: 'none' };
      else yield { ...common, type: 'encoded', adapter, folder: '', losses: [], fromStore: true };
    }
  };
  return { asked, encode } as unknown as PassageEncoder & { asked: string[][] };
}

const condition = (variant: Condition['variant'], passages = 2): Condition => ({ variant, k: 0, passages });
const items = [item(1, 'a', 'b', 'c'), item(2, 'a', 'd'), item(3, 'e', 'bad'), item(4, 'f'), item(5, 'bad')];

describe('adapters of the questions of a data set', () => {
  it('encodes what the conditions need, each passage once', async () => {
    const encoder = fakeEncoder();
    const conditions = [condition('prag'), condition('prag+rag'), condition('baseline')];
    const encoding = new ItemAdapters(encoder, items).encodeAll(conditions);
    while (!(await encoding.next()).done);
    assert.deepEqual(encoder.asked, [['a', 'b', 'd', 'e', 'bad', 'f']]);
  });

  it('gives the conditions of an item one adapter, and none to those without', async () => {
    const encoder = fakeEncoder();
    const adapters = new ItemAdapters(encoder, items);
    const one = await adapters.adaptersOf(items[3]!, condition('prag'));
    assert.equal(one.passages?.id, 'f');
    assert.equal((await adapters.adaptersOf(items[3]!, condition('spring:5+prag'))).passages, one.passages);
    assert.equal(encoder.asked.length, 1);
    assert.deepEqual(await adapters.adaptersOf(items[3]!, condition('icl')), {});
  });

  it('a placebo is of passages about nothing of the sort, as many as the question has, as a comparison asks', async () => {
    const encoder = fakeEncoder();
    const adapters = new ItemAdapters(encoder, items);
    const placebo = await adapters.adaptersOf(items[0]!, condition('placebo', 2));
    assert.equal(placebo.passages, undefined);
    assert.deepEqual(encoder.asked, [unrelatedPassages.slice(0, 2).map(({ passage }) => passage)]);
    await adapters.adaptersOf(items[3]!, condition('placebo', 2));
    assert.deepEqual(encoder.asked.at(-1), [unrelatedPassages[0]!.passage]);
  });

  it('leaves out passages that cannot be encoded; an item without any is noted', async () => {
    const adapters = new ItemAdapters(fakeEncoder(), items);
    assert.equal((await adapters.adaptersOf(items[2]!, condition('prag'))).passages?.id, 'e');
    assert.equal(adapters.withoutAdapter.size, 0);
    assert.equal((await adapters.adaptersOf(items[4]!, condition('prag'))).passages?.pairs.size, 0);
    assert.deepEqual([...adapters.withoutAdapter], ['5']);
  });
});
