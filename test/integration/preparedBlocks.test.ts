/** Linear layers of every type of blocks: run as they are stored, they give the product with the values they stand for. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isBlockType } from '../../src/checkpoint/gguf/blocks/formats.ts';
import { openGguf, type GgufFile } from '../../src/checkpoint/gguf/file.ts';
import { writePreparedFile } from '../../src/checkpoint/quantized/convert.ts';
import type { LinearRecipe } from '../../src/checkpoint/quantized/recipe.ts';
import { storedEncoding } from '../../src/checkpoint/quantized/sources.ts';
import { readSafetensors } from '../../src/checkpoint/safetensors.ts';
import { readRows } from '../../src/checkpoint/tensorRows.ts';
import type { Checkpoint, TensorLocation } from '../../src/checkpoint/types.ts';
import { QuantizedGraphWeights } from '../../src/decoder/quantizedGraphWeights.ts';
import { Graph } from '../../src/onnx/graph.ts';
import { InferenceSession, Tensor } from '../../src/onnx/runtime.ts';
import { oracleFolder } from '../support/oracle.ts';

const path = join(oracleFolder, 'gguf/types.gguf');
const present = existsSync(path);
if (!present && process.env['CI']) throw new Error(`CI requires the oracle in ${path}.`);
if (!present) console.warn(`SKIPPED: no oracle in ${path}`);
const file: GgufFile | undefined = present ? await openGguf(path) : undefined;

const rows = 5;

describe('products with quantised blocks', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'spring-blocks-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const location of file?.tensors.values() ?? []) {
    if (!isBlockType(location.dtype)) continue;
    for (const precision of ['exact', 'native'] as const) {
      it(`${location.dtype} in ${precision}`, async () => {
        const [outFeatures, inFeatures] = location.shape as [number, number];
        const x = Float32Array.from({ length: rows * inFeatures }, (_, i) => Math.sin(i * 12.9898) + 0.3);
        const y = await product(location, precision, x);
        const weights = await readRows(location, 0, outFeatures);
        let squares = 0;
        let errors = 0;
        for (let row = 0; row < rows; row++) {
          for (let output = 0; output < outFeatures; output++) {
            let expected = 0;
            let size = 0;
            for (let i = 0; i < inFeatures; i++) {
              const term = x[row * inFeatures + i]! * weights[output * inFeatures + i]!;
              expected += term;
              size += term * term;
            }
            const error = y[row * outFeatures + output]! - expected;
            if (precision === 'exact') assert.ok(Math.abs(error) <= 1e-5 * Math.sqrt(size), `${error}`);
            squares += size;
            errors += error * error;
          }
        }
        // activations in 8 bits: their rounding is a few thousandths of a block's largest
        assert.ok(Math.sqrt(errors / squares) < 0.01, `relative error ${Math.sqrt(errors / squares)}`);
      });
    }
  }

  async function product(
    location: TensorLocation,
    precision: 'exact' | 'native',
    x: Float32Array,
  ): Promise<Float32Array> {
    const [outFeatures, inFeatures] = location.shape as [number, number];
    const stored = storedEncoding(location)!;
    const linear: LinearRecipe = {
      name: 'both',
      members: ['first', 'second'].map((name) => ({ name, outFeatures, source: location })),
      inFeatures,
      outFeatures: 2 * outFeatures,
      encoding: precision === 'exact' && stored.bits === 8 ? 'float32' : stored,
    };
    const prepared = join(folder, `${location.dtype}-${precision}`);
    const steps = writePreparedFile({ linears: [linear], vectors: [] }, prepared);
    while (!(await steps.next()).done);
    const { tensors, bytes } = await readSafetensors(prepared);
    const graph = new Graph();
    const weights = new QuantizedGraphWeights(
      graph,
      { precision, folder, tensors, linears: [linear], bytes },
      { tensors: new Map() } as unknown as Checkpoint,
      'float32',
    );
    const input = graph.input('x', 'float32', [rows, inFeatures]);
    graph.output('first_y', weights.linear(input, 'first', false), [rows, outFeatures]);
    graph.output('second_y', weights.linear(input, 'second', false), [rows, outFeatures]);
    const encoded = graph.encode();
    const session = await InferenceSession.create(encoded.bytes, {
      logSeverityLevel: 3,
      extra: { session: { model_external_initializers_file_folder_path: encoded.externalFolder } },
    });
    const results = await session.run({ x: new Tensor('float32', x, [rows, inFeatures]) });
    await session.release();
    assert.deepEqual(results['second_y']!.data, results['first_y']!.data);
    return results['first_y']!.data as Float32Array;
  }
});
