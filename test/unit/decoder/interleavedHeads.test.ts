import assert from 'node:assert/strict';
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Checkpoint, TensorLocation } from '../../../src/checkpoint/types.ts';
import { DecoderSession } from '../../../src/decoder/session.ts';
import { TrainingSession } from '../../../src/decoder/trainingSession.ts';
import { randomCheckpoint, randomTensor } from '../../support/randomCheckpoint.ts';

const length = 9;

/** As GGUF files of Llama's family have them: see TensorLocation. */
describe('heads stored as interleaved pairs', () => {
  for (const dtype of ['F32', 'BF16']) {
    it(`weights and biases of q and k in ${dtype}: the same logits and gradients, bit for bit`, async () => {
      const folder = await realpath(await mkdtemp(join(tmpdir(), 'interleaved-')));
      try {
        const checkpoint = await randomCheckpoint(folder, { attention_bias: true, head_dim: 20, dtype });
        const interleaved = await interleave(checkpoint);
        assert.deepEqual(await logitsOf(interleaved), await logitsOf(checkpoint));
        assert.deepEqual(await gradientOf(interleaved), await gradientOf(checkpoint));
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  }
});

/** The same model in another file whose rows of q and k alternate between the halves of each head. */
async function interleave(checkpoint: Checkpoint): Promise<Checkpoint> {
  const { headDim } = checkpoint.config;
  const file = join(checkpoint.path, 'interleaved.bin');
  const [{ file: source }] = checkpoint.tensors.values() as unknown as [TensorLocation];
  const bytes = await readFile(source);
  const original = Uint8Array.from(bytes);
  const tensors = new Map<string, TensorLocation>();
  for (const [name, location] of checkpoint.tensors) {
    if (!/[qk]_proj/.test(name)) {
      tensors.set(name, { ...location, file });
      continue;
    }
    const rowBytes = location.length / location.shape[0]!;
    for (let row = 0; row < location.shape[0]!; row++) {
      const [head, place] = [Math.floor(row / headDim), row % headDim];
      const from = head * headDim + (place % 2) * (headDim / 2) + Math.floor(place / 2);
      const start = location.offset + from * rowBytes;
      bytes.set(original.subarray(start, start + rowBytes), location.offset + row * rowBytes);
    }
    tensors.set(name, { ...location, file, interleavedHeadDim: headDim });
  }
  await writeFile(file, bytes);
  return { ...checkpoint, tensors };
}

async function logitsOf(checkpoint: Checkpoint): Promise<Float32Array> {
  const session = await DecoderSession.open(checkpoint);
  const sequence = await session.memory.create(length);
  const inputsEmbeds = randomTensor(length * checkpoint.config.hiddenSize, 1);
  const logitsAt = [3, length - 1];
  const run = { sequence, inputsEmbeds, adapter: undefined, ropeLength: length, logitsAt };
  const [logits] = await session.forward([run]);
  await session.dispose();
  return logits!;
}

async function gradientOf(checkpoint: Checkpoint): Promise<Float32Array> {
  const gradients = { inputsEmbeds: true };
  const session = await TrainingSession.open(checkpoint, { past: false, lora: false, gradients });
  const inputsEmbeds = randomTensor(length * checkpoint.config.hiddenSize, 1);
  const example = { inputsEmbeds, length, labels: [{ index: 7, tokenId: 3 }] };
  const results = await session.run([example], 1);
  await session.dispose();
  return results.gradients.get('inputs_embeds')!;
}
