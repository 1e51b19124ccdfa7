import assert from 'node:assert/strict';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Run, Sequence } from '../../../src/decoder/keyValueMemory.ts';
import { keysAndValuesOf } from '../../../src/decoder/hostKeyValues.ts';
import { DecoderSession } from '../../../src/decoder/session.ts';
import { randomCheckpoint, randomTensor } from '../../support/randomCheckpoint.ts';

/** Layers with and without a window, and rotary tables that change with the length. */
const windows = {
  architecture: 'Qwen2ForCausalLM',
  use_sliding_window: true,
  sliding_window: 70,
  max_window_layers: 1,
  max_position_embeddings: 16,
  rope_scaling: { type: 'dynamic', factor: 2 },
};
/** Keys and values of few outputs and many inputs, whose products the runtime would divide by the number of rows. */
const narrow = { hidden_size: 384, intermediate_size: 400, num_attention_heads: 6, num_key_value_heads: 2 };

for (const [name, shape, options] of [
  ['sequences in the memory of the host', windows, { packWeights: true }],
  ['the same with weights that stay where they lie', narrow, { threads: 2 }],
] as const)
  describe(name, () => {
    let folder: string;
    let session: DecoderSession;
    before(async () => {
      folder = await realpath(await mkdtemp(join(tmpdir(), 'sequences-')));
      session = await DecoderSession.open(await randomCheckpoint(folder, shape), {
        device: 'cpu',
        precision: 'f32',
        ...options,
      });
    });
    after(async () => {
      await session.dispose();
      await rm(folder, { recursive: true });
    });

    const embeds = (positions: number, seed: number): Float32Array =>
      randomTensor(positions * session.config.hiddenSize, seed);
    const run = (sequence: Sequence, inputsEmbeds: Float32Array): Run => {
      const positions = inputsEmbeds.length / session.config.hiddenSize;
      return { sequence, inputsEmbeds, adapter: undefined, ropeLength: 300, logitsAt: [positions - 1] };
    };
    /** In one pass, by itself. */
    const alone = async (...parts: Float32Array[]): Promise<Float32Array> => {
      const sequence = await session.memory.create(0);
      const whole = Float32Array.from(parts.flatMap((part) => [...part]));
      return (await session.forward([run(sequence, whole)]))[0]!;
    };

    it('branches of unequal lengths see their own sequence only, to the last bit', async () => {
      const { memory } = session;
      // trunks end before, at and behind the ends of blocks
      for (const length of [9, 63, 64, 65, 150]) {
        const [trunk, left, right, nested] = [embeds(length, 1), embeds(5, 2), embeds(2, 3), embeds(70, 4)];
        const first = await memory.create(4); // grows
        await session.forward([run(first, trunk)]);
        const second = await memory.fork(first, length, 4);
        const passed = await session.forward([run(first, left), run(second, right)]);
        assert.deepEqual(passed[0], await alone(trunk, left));
        assert.deepEqual(passed[1], await alone(trunk, right));
        const third = await memory.fork(second, length + 2, 4);
        const [logits] = await session.forward([run(third, nested)]);
        assert.deepEqual(logits, await alone(trunk, right, nested));
        assert.deepEqual([first.length, second.length, third.length], [length + 5, length + 2, length + 72]);

        // one more each, in another order, and without one of them
        const [next, other] = [embeds(1, 5), embeds(1, 6)];
        const further = await session.forward([run(third, next), run(first, other)]);
        assert.deepEqual(further[0], await alone(trunk, right, nested, next));
        assert.deepEqual(further[1], await alone(trunk, left, other));
      }
    });

    it('sequences go on like before when others were released, whose memory is used again', async () => {
      const { memory } = session;
      const trunk = embeds(130, 1);
      const first = await memory.create(130);
      await session.forward([run(first, trunk)]);
      const forks: Sequence[] = [];
      for (let i = 0; i < 12; i++) forks.push(await memory.fork(first, 130, 130)); // more than share a block
      await session.forward(forks.map((fork, i) => run(fork, embeds(1 + 9 * i, 10 + i))));
      for (const i of [0, 11, 5, 4]) memory.release(forks[i]!);
      memory.release(first);
      assert.throws(() => memory.release(first), /released more often/);
      await assert.rejects(async () => memory.fork(first, 1, 1), /no such positions/);
      const late = await memory.fork(forks[7]!, 140, 200);
      const logits = await session.forward([
        run(late, embeds(3, 50)),
        ...[1, 2, 3, 6, 7, 8, 9, 10].map((i) => run(forks[i]!, embeds(2, 30 + i))),
      ]);
      const { hiddenSize } = session.config;
      const start = embeds(64, 17).subarray(0, 10 * hiddenSize);
      assert.deepEqual(logits[0], await alone(trunk, start, embeds(3, 50)));
      for (const [place, i] of [1, 2, 3, 6, 7, 8, 9, 10].entries()) {
        assert.deepEqual(logits[place + 1], await alone(trunk, embeds(1 + 9 * i, 10 + i), embeds(2, 30 + i)));
      }
    });

    it('a copy goes on like its source, in memory of its own or beside another', async () => {
      const { memory } = session;
      const [trunk, left, right, tail] = [embeds(68, 1), embeds(3, 2), embeds(3, 3), embeds(2, 4)];
      const first = await memory.create(80);
      await session.forward([run(first, trunk)]);
      const second = await memory.fork(first, 68, 80);
      await session.forward([run(first, left), run(second, right)]);
      const copy = await memory.copy(second, 70, 72);
      const beside = await memory.copy(first, 71, 72, copy);
      const logits = await session.forward([run(beside, tail), run(copy, tail)]);
      const { hiddenSize } = session.config;
      assert.deepEqual(logits[0], await alone(trunk, left, tail));
      assert.deepEqual(logits[1], await alone(trunk, right.subarray(0, 2 * hiddenSize), tail));
    });

    it('keys and values as data lie in the order of positions', async () => {
      const { memory } = session;
      const whole = embeds(130, 1);
      const sequence = await memory.create(130);
      await session.forward([run(sequence, whole)]);
      const { length, arrays } = keysAndValuesOf(sequence);
      assert.equal(length, 130);
      const width = session.config.numKeyValueHeads * session.config.headDim;
      assert.deepEqual(
        arrays.map((array) => array.length),
        Array.from({ length: 2 * session.config.numLayers }, () => 130 * width),
      );
      // the last position's alone are those of a pass of its own
      const shorter = await memory.create(130);
      await session.forward([run(shorter, whole.subarray(0, 129 * session.config.hiddenSize))]);
      await session.forward([run(shorter, whole.subarray(129 * session.config.hiddenSize))]);
      assert.deepEqual(keysAndValuesOf(shorter).arrays, arrays);
      // the first layer's values do not depend on the position
      const repeated = await memory.create(130);
      const row = whole.subarray(0, session.config.hiddenSize);
      await session.forward([
        run(
          repeated,
          Float32Array.from({ length: whole.length }, (_, i) => row[i % row.length]!),
        ),
      ]);
      const values = keysAndValuesOf(repeated).arrays[1]!;
      for (let position = 1; position < 130; position++) {
        assert.deepEqual(
          values.subarray(position * width, (position + 1) * width),
          values.subarray(0, width),
        );
      }
    });

    it('no wanted logits, and a single position, are passes like others', async () => {
      const sequence = await session.memory.create(4);
      const [none] = await session.forward([{ ...run(sequence, embeds(3, 1)), logitsAt: [] }]);
      assert.equal(none!.length, 0);
      const [one] = await session.forward([run(sequence, embeds(1, 2))]);
      assert.deepEqual(one, await alone(embeds(3, 1), embeds(1, 2)));
    });

    it('sequences that were not made beside each other do not go together', async () => {
      const [a, b] = [await session.memory.create(4), await session.memory.create(4)];
      await assert.rejects(session.forward([run(a, embeds(1, 1)), run(b, embeds(1, 2))]), /two storages/);
    });
  });
