/** Weights known again: in another precision of the files, in a GGUF file, quantised, fine-tuned. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts';
import { narrowFloat32 } from '../../../src/checkpoint/elementTypes.ts';
import { readRows } from '../../../src/checkpoint/tensorRows.ts';
import { writeSafetensors } from '../../../src/checkpoint/safetensors.ts';
import type { Checkpoint } from '../../../src/checkpoint/types.ts';
import { compareWeights, weightsFingerprint } from '../../../src/checkpoint/weightsFingerprint.ts';
import { ggufOf } from '../../support/ggufConversion.ts';
import { writeGguf } from '../../support/ggufWriter.ts';
import { randomCheckpoint } from '../../support/randomCheckpoint.ts';

/** ggml's Q8_0: of 32 values a float16 scale and 32 signed bytes. */
function q8(bytes: Uint8Array): Uint8Array {
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const blocks: Uint8Array[] = [];
  for (let start = 0; start < values.length; start += 32) {
    const block = values.subarray(start, start + 32);
    const scale = Math.max(...block.map(Math.abs)) / 127;
    const codes = Int8Array.from(block, (value) => Math.round(value / scale));
    blocks.push(narrowFloat32(Float32Array.of(scale), 'F16'), new Uint8Array(codes.buffer));
  }
  return Buffer.concat(blocks);
}

const fixtures = join(import.meta.dirname, '../../fixtures/architectures');

describe('the fingerprint of weights', () => {
  let folder: string;
  let original: Checkpoint;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'spring-weights-'));
    mkdirSync(join(folder, 'model'));
    original = await randomCheckpoint(join(folder, 'model'), { dtype: 'BF16', intermediate_size: 64 });
  });
  after(() => rmSync(folder, { recursive: true }));

  const compared = async (a: Checkpoint | string, b: Checkpoint | string): Promise<string> => {
    const [one, other] = await Promise.all(
      [a, b].map(async (which) =>
        weightsFingerprint(typeof which === 'string' ? await openCheckpoint(which) : which),
      ),
    );
    return compareWeights(one!, other!);
  };

  /** A copy of the checkpoint with these changes to its values. */
  async function copy(
    name: string,
    change: (tensor: string, values: Float32Array) => Float32Array,
  ): Promise<string> {
    const path = join(folder, name);
    cpSync(join(folder, 'model'), path, { recursive: true });
    const tensors = [...original.tensors.values()].map(async (location) => {
      const rows = location.shape.slice(0, -1).reduce((a, b) => a * b, 1);
      const data = change(location.name, await readRows(location, 0, rows));
      return { name: location.name, dtype: 'F32' as const, shape: location.shape, data };
    });
    await writeSafetensors(join(path, 'model.safetensors'), await Promise.all(tensors));
    return path;
  }

  it('is the same in another folder and in another precision of the files', async () => {
    assert.equal(await compared(original, await copy('float32', (_, values) => values)), 'same');
  });

  for (const name of ['smollm3', 'gemma3', 'phi-4-mini']) {
    it(`is the same in a GGUF file of floats: ${name}`, async () => {
      const path = join(folder, `${name}.gguf`);
      writeGguf(path, await ggufOf(join(fixtures, name)));
      assert.equal(await compared(join(fixtures, name), path), 'same');
    });
  }

  it('has the same norms in a GGUF file of quantised blocks', async () => {
    const path = join(folder, 'quantised.gguf');
    const content = await ggufOf(join(folder, 'model'));
    const tensors = content.tensors!.map((tensor) =>
      tensor.dimensions.length === 2 ? { ...tensor, type: 8, data: q8(tensor.data) } : tensor,
    );
    writeGguf(path, { ...content, tensors });
    assert.equal(await compared(original, path), 'quantised copy');
  });

  it('tells a fine-tuned copy from the original, with and without its norms', async () => {
    const tuned = await copy('tuned', (name, values) =>
      name.includes('norm') ? values : values.map((value) => value * 1.01),
    );
    assert.equal(await compared(original, tuned), 'same norms');
    const all = await copy('all', (_, values) => values.map((value) => value * 1.01));
    assert.equal(await compared(original, all), 'other');
  });

  it('says nothing of a text that is none', () => {
    assert.equal(compareWeights('f1', 'f1'), 'unknown');
  });
});
