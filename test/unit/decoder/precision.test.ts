import assert from 'node:assert/strict';
import type { Checkpoint } from '../../../src/checkpoint/types.ts';
import type { ChosenDevice } from '../../../src/decoder/device.ts';
import { choosePrecision, worthPacking } from '../../../src/decoder/precision.ts';
import { UserError } from '../../../src/protocol/errors.ts';

const gigabyte = 1024 ** 3;
const cpu: ChosenDevice = { device: 'cpu', reason: '' };
const gpu = (float16: boolean): ChosenDevice => ({
  device: 'webgpu',
  reason: '',
  webgpu: { available: true, fusedAttention: true, float16, speedOverCpu: 20 },
});

/** As much of a checkpoint as the choice looks at: all its weights are in feed-forward layers. */
function model(weights: number, exceedsFloat16 = false, dtype: 'F32' | 'Q4_K' = 'F32'): Checkpoint {
  const sizes = { hiddenSize: 1, numLayers: 1, intermediateSize: weights / 3, vocabSize: 0 };
  const heads = { numHeads: 0, numKeyValueHeads: 0, headDim: 0 };
  const config = { architecture: 'Gemma3ForCausalLM', exceedsFloat16, ...sizes, ...heads };
  return { path: '/model', config, tensors: new Map([['w', { dtype }]]) } as unknown as Checkpoint;
}

describe('precision', () => {
  const cases: [string, number, ChosenDevice, number, string, RegExp][] = [
    ['small on the CPU', 135e6, cpu, 8 * gigabyte, 'f32', /small \(0\.50 GB/],
    ['large on the CPU', 7e9, cpu, 16 * gigabyte, 'int8', /7\.3 GB instead of 26\.1 GB.*16\.0 GB of memory/],
    ['large, little memory', 7e9, cpu, 8 * gigabyte, 'int4', /4\.2 GB in int4/],
    ['small, hardly any memory', 135e6, cpu, gigabyte / 2, 'int8', /0\.14 GB instead of/],
    ['small, next to no memory', 9e8, cpu, gigabyte / 2, 'int8', /0\.94 GB instead of/],
    ['tiny on a GPU', 1e6, gpu(true), gigabyte, 'f32', /small/],
    ['half a billion on a GPU', 5e8, gpu(true), gigabyte, 'f16', /float16 on a GPU/],
    ['7 billion on a GPU', 7e9, gpu(true), gigabyte, 'int4', /13\.0 GB in float16 may be more/],
    ['a GPU without float16', 5e8, gpu(false), gigabyte, 'f32', /float16/],
  ];
  for (const [name, weights, device, memory, precision, reason] of cases) {
    it(`auto, ${name}: ${precision}`, () => {
      const choice = choosePrecision('auto', model(weights), device, memory);
      assert.equal(choice.precision, precision);
      assert.match(choice.reason, reason);
    });
  }

  it('a model whose hidden states exceed float16 is not run in it', () => {
    const gemma = (weights: number): Checkpoint => model(weights, true);
    assert.throws(() => choosePrecision('f16', gemma(1e6), gpu(true)), /Gemma3ForCausalLM grow beyond/);
    assert.equal(choosePrecision('auto', gemma(5e8), gpu(true)).precision, 'f32');
    assert.equal(choosePrecision('auto', gemma(4e9), gpu(true)).precision, 'int4');
  });

  it('what is asked for is taken', () => {
    assert.equal(choosePrecision('int4', model(1e6), cpu).precision, 'int4');
  });

  it('quantised weights run as they are unless something else is asked for', () => {
    for (const device of [cpu, gpu(true), gpu(false)]) {
      const choice = choosePrecision('auto', model(7e9, false, 'Q4_K'), device, gigabyte);
      assert.equal(choice.precision, 'native');
      assert.match(choice.reason, /the model's own quantised weights/);
    }
    for (const wanted of ['exact', 'native', 'f32', 'int8', 'int4'] as const)
      assert.equal(choosePrecision(wanted, model(1e6, false, 'Q4_K'), cpu).precision, wanted);
  });

  it('exact and native are for quantised weights only', () => {
    for (const wanted of ['exact', 'native'] as const) {
      assert.throws(() => choosePrecision(wanted, model(1e6), cpu), {
        name: 'UserError',
        message: new RegExp(
          `The precision ${wanted} is for models whose weights are quantised.*/model are not`,
        ),
      });
    }
  });

  it('embeddings alone in blocks make no quantised model', () => {
    const { tensors, ...rest } = model(1e6);
    const embeddings = { ...tensors.get('w')!, dtype: 'Q6_K' as const };
    const mixed = { ...rest, tensors: new Map([...tensors, ['model.embed_tokens.weight', embeddings]]) };
    assert.equal(choosePrecision('auto', mixed, cpu, gigabyte).precision, 'f32');
  });

  it('float16 needs a device that computes in it', () => {
    assert.throws(() => choosePrecision('f16', model(1e6), cpu), UserError);
    assert.throws(() => choosePrecision('f16', model(1e6), gpu(false)), UserError);
    assert.equal(choosePrecision('f16', model(1e6), gpu(true)).precision, 'f16');
  });

  it('float32 weights are packed where they are small beside the free memory', () => {
    assert.equal(worthPacking(model(135e6), 'f32', 8 * gigabyte), true);
    assert.equal(worthPacking(model(135e6), 'f32', gigabyte), false);
    assert.equal(worthPacking(model(500e6), 'f32', 64 * gigabyte), false);
    assert.equal(worthPacking(model(135e6), 'int8', 8 * gigabyte), false);
  });
});
