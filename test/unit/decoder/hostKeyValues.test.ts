import assert from 'node:assert/strict';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Run, Sequence } from '../../../src/decoder/keyValueMemory.ts';
import { keysAndValuesOf } from '../../../src/decoder/hostKeyValues.ts';
import { DecoderSession } from '../../../src/decoder/session.ts';
import { randomCheckpoint, randomTensor } from '../../support/randomCheckpoint.ts';

/** Layers with and without a window, and rotary tables that change with the length. */
const shape = {
  architecture: 'Qwen2ForCausalLM',
  use_sliding_window: true,
  sliding_window: 7,
  max_window_layers: 1,
  max_position_embeddings: 16,
  rope_scaling: { type: 'dynamic', factor: 2 },
};

describe('sequences in the memory of the host', () => {
  let folder: string;
  let session: DecoderSession;
  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'sequences-')));
    session = await DecoderSession.open(await randomCheckpoint(folder, shape));
  });
  after(async () => {
    await session.dispose();
    await rm(folder, { recursive: true });
  });

  const embeds = (positions: number, seed: number): Float32Array =>
    randomTensor(positions * session.config.hiddenSize, seed);
  const run = (sequence: Sequence, inputsEmbeds: Float32Array): Run => {
    const positions = inputsEmbeds.length / session.config.hiddenSize;
    return { sequence, inputsEmbeds, adapter: undefined, ropeLength: 20, logitsAt: [positions - 1] };
  };
  const alone = async (...parts: Float32Array[]): Promise<Float32Array> => {
    const sequence = await session.memory.create(0);
    const whole = Float32Array.from(parts.flatMap((part) => [...part]));
    return (await session.forward([run(sequence, whole)]))[0]!;
  };
  const assertSame = (actual: Float32Array, expected: Float32Array): void => {
    assert.equal(actual.length, expected.length);
    actual.forEach((value, i) =>
      assert.ok(Math.abs(value - expected[i]!) < 1e-5, `${value}, ${expected[i]}`),
    );
  };

  it('branches in the pass of their trunk, and of unequal lengths, see their own sequence only', async () => {
    const { memory } = session;
    const [trunk, left, right, nested] = [embeds(9, 1), embeds(5, 2), embeds(2, 3), embeds(4, 4)];
    const first = await memory.create(4); // grows
    const second = await memory.fork(first, 9, 4);
    const third = await memory.fork(second, 11, 4);
    const logits = await session.forward([
      run(first, trunk),
      run(first, left),
      run(second, right),
      run(third, nested),
    ]);
    assertSame(logits[1]!, await alone(trunk, left));
    assertSame(logits[2]!, await alone(trunk, right));
    assertSame(logits[3]!, await alone(trunk, right, nested));
    assert.deepEqual([first.length, second.length, third.length], [14, 11, 15]);

    // one more each, in another order, without one of them
    const [next, other] = [embeds(1, 5), embeds(1, 6)];
    const further = await session.forward([run(third, next), run(first, other)]);
    assertSame(further[0]!, await alone(trunk, right, nested, next));
    assertSame(further[1]!, await alone(trunk, left, other));
  });

  it('a copy goes on like its source, in memory of its own or beside another', async () => {
    const { memory } = session;
    const [trunk, left, right, tail] = [embeds(8, 1), embeds(3, 2), embeds(3, 3), embeds(2, 4)];
    const first = await memory.create(20);
    const second = await memory.fork(first, 8, 20);
    await session.forward([run(first, trunk), run(first, left), run(second, right)]);
    const copy = await memory.copy(second, 10, 12);
    assert.equal(keysAndValuesOf(copy).length, 10);
    assert.throws(() => keysAndValuesOf(second), /more than this sequence/);
    const beside = await memory.copy(first, 11, 12, copy);
    const logits = await session.forward([run(beside, tail), run(copy, tail)]);
    const { hiddenSize } = session.config;
    assertSame(logits[0]!, await alone(trunk, left, tail));
    assertSame(logits[1]!, await alone(trunk, right.subarray(0, 2 * hiddenSize), tail));
  });

  it('sequences that were not made beside each other do not go together', async () => {
    const [a, b] = [await session.memory.create(4), await session.memory.create(4)];
    await assert.rejects(session.forward([run(a, embeds(1, 1)), run(b, embeds(1, 2))]), /two storages/);
  });
});
