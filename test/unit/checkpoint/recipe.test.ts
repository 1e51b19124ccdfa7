/** What the prepared file of a quantised checkpoint holds: which layers, joined how, in which encoding. */
import assert from 'node:assert/strict';
import { parseModelConfig } from '../../../src/checkpoint/config.ts';
import { expectedTensors } from '../../../src/checkpoint/layers.ts';
import type { BlockEncoding } from '../../../src/checkpoint/quantized/blocks.ts';
import type { PreparedPrecision } from '../../../src/checkpoint/quantized/folders.ts';
import { plannedTensors, recipeOf } from '../../../src/checkpoint/quantized/recipe.ts';
import type { BlockType, Checkpoint, TensorLocation } from '../../../src/checkpoint/types.ts';

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 256,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 512,
  vocab_size: 100,
  max_position_embeddings: 128,
  tie_word_embeddings: true,
};

/** Q4_K_M as llama.cpp mixes it, with one layer left in float16. */
const types: Record<string, BlockType | 'F16'> = {
  q_proj: 'Q4_K',
  k_proj: 'Q4_K',
  v_proj: 'Q6_K',
  o_proj: 'F16',
  gate_proj: 'Q4_K',
  up_proj: 'Q4_K',
  down_proj: 'Q5_0',
  embed_tokens: 'Q8_0',
};

function mixed(): Checkpoint {
  const file = '/model/model.gguf';
  const parsed = parseModelConfig(config, undefined, 'config.json');
  const tensors = [...expectedTensors(parsed)].map(([name, shape]): [string, TensorLocation] => {
    const dtype = types[name.split('.').at(-2)!] ?? 'F32';
    return [name, { name, dtype, shape, file, offset: 0, length: 0 }];
  });
  return { path: file, format: 'gguf', config: parsed, tensors: new Map(tensors), weightBytes: 0 };
}

function layers(precision: PreparedPrecision): Record<string, string> {
  const { linears } = recipeOf(mixed(), precision, '/cache');
  return Object.fromEntries(
    linears.map(({ name, encoding, outFeatures }) => {
      const what = encoding === 'float32' ? encoding : inWords(encoding);
      return [name.replaceAll('model.layers.0.', ''), `${outFeatures}: ${what}`];
    }),
  );
}

function inWords({ bits, blockSize, zeroPoints, mins }: BlockEncoding): string {
  return `${bits} bits, blocks of ${blockSize}${zeroPoints ? ', zero points' : ''}${mins ? ', mins' : ''}`;
}

describe('the recipe of prepared weights', () => {
  const q4 = '4 bits, blocks of 32, mins';

  it('native: blocks as they are stored, joined where alike; float layers stay where they lie', () => {
    assert.deepEqual(layers('native'), {
      'self_attn.q_proj+self_attn.k_proj': `384: ${q4}`,
      'self_attn.v_proj': '128: 8 bits, blocks of 16',
      'mlp.gate_up_proj': `1024: ${q4}`,
      'mlp.down_proj': '256: 8 bits, blocks of 32',
      'model.embed_tokens': '100: 8 bits, blocks of 32',
    });
  });

  it('exact: 8-bit types as float32', () => {
    assert.deepEqual(layers('exact'), {
      'self_attn.q_proj+self_attn.k_proj': `384: ${q4}`,
      'self_attn.v_proj': '128: float32',
      'mlp.gate_up_proj': `1024: ${q4}`,
      'mlp.down_proj': '256: float32',
      'model.embed_tokens': '100: float32',
    });
  });

  it('f32: every quantised layer by itself', () => {
    const names =
      'self_attn.q_proj self_attn.k_proj self_attn.v_proj mlp.gate_proj mlp.up_proj mlp.down_proj';
    assert.deepEqual(Object.keys(layers('f32')), [...names.split(' '), 'model.embed_tokens']);
    assert.ok(Object.values(layers('f32')).every((encoding) => encoding.endsWith(': float32')));
    assert.equal(recipeOf(mixed(), 'f32', '/cache').vectors.length, 0);
  });

  it('int4: quantised anew, whatever they are stored as', () => {
    const int4 = '4 bits, blocks of 32, zero points';
    assert.deepEqual(layers('int4'), {
      'self_attn.qkv_proj': `512: ${int4}`,
      'self_attn.o_proj': `256: ${int4}`,
      'mlp.gate_up_proj': `1024: ${int4}`,
      'mlp.down_proj': `256: ${int4}`,
      'model.embed_tokens': '100: 8 bits, blocks of 32',
    });
  });

  it('no two tensors of the file have one name', () => {
    for (const precision of ['int8', 'int4', 'native', 'exact', 'f32'] as const) {
      const names = plannedTensors(recipeOf(mixed(), precision, '/cache')).map(({ name }) => name);
      assert.equal(new Set(names).size, names.length);
    }
  });
});
