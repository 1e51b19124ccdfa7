import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { reportInBatches } from '../../../src/engine/eventBatches.ts';

async function* numbers(count: number, end?: Error): AsyncGenerator<number> {
  for (let number = 0; number < count; number++) yield await Promise.resolve(number);
  if (end) throw end;
}

describe('events in batches', () => {
  it('the first is sent at once, the others wait, urgent ones do not', async () => {
    const batches: number[][] = [];
    const report = (batch: number[]): number => batches.push(batch);
    await reportInBatches(numbers(6), report, 1e6, (number) => number === 3);
    assert.deepEqual(batches, [[0], [1, 2, 3], [4, 5]]);
  });

  it('with no time to wait every event is sent by itself', async () => {
    const batches: number[][] = [];
    await reportInBatches(numbers(3), (batch) => batches.push(batch), 0);
    assert.deepEqual(batches, [[0], [1], [2]]);
  });

  it('what was there before an error is sent, then the error is thrown', async () => {
    const batches: number[][] = [];
    const failing = reportInBatches(numbers(3, new Error('lost')), (batch) => batches.push(batch), 1e6);
    await assert.rejects(failing, /lost/);
    assert.deepEqual(batches, [[0], [1, 2]]);
  });

  it('lets messages in between two events', async () => {
    const abort = new AbortController();
    setImmediate(() => abort.abort());
    let seen = 0;
    async function* endless(): AsyncGenerator<number> {
      while (!abort.signal.aborted && seen < 1000) yield await Promise.resolve(seen++);
    }
    await reportInBatches(endless(), () => undefined, 1e6);
    assert.ok(seen < 1000);
  });
});
