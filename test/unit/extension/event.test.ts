/** Events without VS Code: who listens is called, until it no longer wants to be. */
import assert from 'node:assert/strict';
import { Emitter } from '../../../src/extension/event.ts';

describe('events of sessions', () => {
  it('call every listener until it is disposed of, the same function twice if it listens twice', () => {
    const emitter = new Emitter<number>();
    const heard: number[] = [];
    const hear = (value: number): unknown => heard.push(value);
    const first = emitter.event(hear);
    emitter.event(hear);
    emitter.fire(1);
    first.dispose();
    first.dispose();
    emitter.fire(2);
    assert.deepEqual(heard, [1, 1, 2]);
  });

  it('may be left while they fire', () => {
    const emitter = new Emitter<string>();
    const heard: string[] = [];
    const once = emitter.event((value) => {
      heard.push(value);
      once.dispose();
    });
    emitter.event((value) => heard.push(`${value}!`));
    emitter.fire('a');
    emitter.fire('b');
    assert.deepEqual(heard, ['a', 'a!', 'b!']);
  });
});
