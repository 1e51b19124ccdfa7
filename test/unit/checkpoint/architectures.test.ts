/** What each of the newer architectures reads from its config.json; golden values are in test/fixtures/architectures. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts';
import { parseModelConfig } from '../../../src/checkpoint/config.ts';
import { readLoraAdapter } from '../../../src/checkpoint/lora.ts';
import { writeSafetensors } from '../../../src/checkpoint/safetensors.ts';
import type { ModelConfig, RopeConfig } from '../../../src/checkpoint/types.ts';
import { UserError } from '../../../src/protocol/errors.ts';
import {
  removeFolder,
  temporaryFolder,
  tinyConfig,
  tinyTensors,
  writeCheckpoint,
  writeJson,
} from '../../fixtures/checkpoint/tinyCheckpoint.ts';

const parse = (json: object): ModelConfig => parseModelConfig({ ...json }, undefined, 'config.json');

const gemma3 = {
  ...tinyConfig,
  architectures: ['Gemma3ForCausalLM'],
  hidden_act: undefined,
  head_dim: 8,
  num_hidden_layers: 7,
};
const smollm3 = { ...tinyConfig, architectures: ['SmolLM3ForCausalLM'], num_hidden_layers: 5 };
const granite = { ...tinyConfig, architectures: ['GraniteForCausalLM'] };

const plain = (theta: number): RopeConfig => ({ type: 'default', theta, partialRotaryFactor: 1 });
const linear = (theta: number, factor: number): RopeConfig => ({
  ...plain(theta),
  type: 'linear',
  factor,
  originalMaxPositionEmbeddings: 128,
});

describe('architectures', () => {
  it('Gemma 3: five layers with a window and a rotation of their own to one without', () => {
    const config = parse({ ...gemma3, sliding_window: 9, rope_scaling: { rope_type: 'linear', factor: 8 } });
    const [w, local, global] = [9, plain(1e4), linear(1e6, 8)];
    assert.deepEqual(config.slidingWindows, [w, w, w, w, w, null, w]);
    assert.deepEqual(config.ropes, [local, local, local, local, local, global, local]);
    assert.equal(new Set(config.ropes).size, 2);
    const v5 = {
      ...gemma3,
      sliding_window: 9,
      layer_types: config.slidingWindows.map((x) => (x === null ? 'full_attention' : 'sliding_attention')),
      rope_parameters: {
        full_attention: { rope_type: 'linear', factor: 8, rope_theta: 1e6 },
        sliding_attention: { rope_type: 'default', rope_theta: 1e4 },
      },
    };
    assert.deepEqual(parse(v5), config);
    const others = parse({ ...gemma3, sliding_window_pattern: 3, rope_local_base_freq: 5, rope_theta: 5 });
    assert.deepEqual(others.slidingWindows, [4096, 4096, null, 4096, 4096, null, 4096]);
    assert.equal(new Set(others.ropes).size, 1, 'equal rotations are one');
  });

  it('Gemma 3: norms, factors and what is assumed where the file is silent', () => {
    const { vocab_size, num_attention_heads, num_key_value_heads, tie_word_embeddings, ...silent } = gemma3;
    assert.deepEqual(
      [vocab_size, num_attention_heads, num_key_value_heads, tie_word_embeddings],
      [32, 4, 2, false],
    );
    const config = parse({ ...silent, head_dim: undefined });
    const { vocabSize, numHeads, numKeyValueHeads, headDim, tieWordEmbeddings } = config;
    assert.deepEqual(
      [vocabSize, numHeads, numKeyValueHeads, headDim, tieWordEmbeddings],
      [262208, 8, 4, 256, true],
    );
    assert.deepEqual(
      [config.activation, config.normsAfterBlocks, config.normWeightOffset],
      ['gelu_tanh', true, 1],
    );
    assert.deepEqual([config.embeddingScale, config.scoreScale, config.logitsScale], [4, 1 / 16, 1]);
    assert.equal(parse({ ...gemma3, query_pre_attn_scalar: 64 }).scoreScale, 1 / 8);
  });

  it('SmolLM3: layers without rotation, which are those with a window', () => {
    const rope = plain(2e6);
    assert.deepEqual(parse(smollm3).ropes, [rope, rope, rope, null, rope]);
    assert.deepEqual(parse({ ...smollm3, no_rope_layer_interval: 2 }).ropes, [rope, null, rope, null, rope]);
    const windowed = {
      ...smollm3,
      no_rope_layers: [0, 1, 1, 1, 0, 1],
      use_sliding_window: true,
      sliding_window: 6,
    };
    assert.deepEqual(parse(windowed).ropes, [null, rope, rope, rope, null]);
    assert.deepEqual(parse(windowed).slidingWindows, [6, null, null, null, 6]);
    assert.deepEqual(parse({ ...windowed, use_sliding_window: false }).slidingWindows, Array(5).fill(null));
  });

  it('Granite: four factors', () => {
    const factors = {
      embedding_multiplier: 12,
      residual_multiplier: 0.22,
      attention_multiplier: 0.0625,
      logits_scaling: 8,
    };
    const { embeddingScale, residualScale, scoreScale, logitsScale } = parse({ ...granite, ...factors });
    assert.deepEqual([embeddingScale, residualScale, scoreScale, logitsScale], [12, 0.22, 0.0625, 0.125]);
    assert.equal(parse(granite).scoreScale, 1, 'transformers assumes 1, whatever the head');
  });

  const bad: [string, object, RegExp][] = [
    ['Gemma 2', { ...gemma3, architectures: ['Gemma2ForCausalLM'] }, /Gemma2ForCausalLM is not supported/],
    [
      'mixtures of experts',
      { ...granite, architectures: ['GraniteMoeForCausalLM'] },
      /GraniteMoe.* not supported/,
    ],
    [
      'soft caps of logits',
      { ...gemma3, final_logit_softcapping: 30 },
      /"final_logit_softcapping" is 30; .*soft caps/,
    ],
    ['soft caps of scores', { ...gemma3, attn_logit_softcapping: 50 }, /"attn_logit_softcapping" is 50/],
    [
      'attention to both sides',
      { ...gemma3, use_bidirectional_attention: true },
      /"use_bidirectional_attention" is true/,
    ],
    ['alibi', { ...tinyConfig, alibi: true }, /"alibi" is true/],
    [
      'another activation',
      { ...gemma3, hidden_activation: 'relu2' },
      /"hidden_activation" is "relu2"; .*gelu_pytorch_tanh/,
    ],
    [
      'a name that every object has',
      { ...tinyConfig, hidden_act: 'constructor' },
      /"hidden_act" is "constructor"/,
    ],
    [
      'one rotation for layers of both kinds',
      { ...gemma3, rope_parameters: { rope_theta: 5 } },
      /"rope_parameters" is/,
    ],
    [
      'partial rotation',
      { ...gemma3, rope_scaling: { rope_type: 'linear', factor: 8, partial_rotary_factor: 0.5 } },
      /"partial_rotary_factor" is 0\.5; expected 1/,
    ],
    [
      'a layer type too few',
      { ...gemma3, layer_types: ['full_attention'] },
      /"layer_types".*expected 7 times/,
    ],
    [
      'a window that is off',
      { ...smollm3, layer_types: Array(5).fill('sliding_attention') },
      /"layer_types".*use_sliding_window/,
    ],
    ['a flag too few', { ...smollm3, no_rope_layers: [1, 1] }, /"no_rope_layers".*5 ones and zeros/],
    ['a factor of zero', { ...granite, logits_scaling: 0 }, /"logits_scaling" is 0/],
  ];
  for (const [what, json, message] of bad) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => parse(json),
        (error: unknown) => error instanceof UserError && message.test(error.message),
      );
    });
  }
});

describe('Gemma 3 beside a vision model', () => {
  const text = { ...gemma3, architectures: undefined, num_hidden_layers: 2, tie_word_embeddings: true };
  const whole = {
    architectures: ['Gemma3ForConditionalGeneration'],
    eos_token_id: [1, 106],
    text_config: text,
  };
  let folder: string;
  beforeEach(() => (folder = temporaryFolder()));
  afterEach(() => removeFolder(folder));

  it('reads the text part, and what the whole says of tokens', () => {
    const config = parse(whole);
    assert.deepEqual(config.eosTokenIds, [1, 106]);
    assert.deepEqual(
      { ...config, architecture: '', eosTokenIds: [], textPartOnly: false },
      { ...parse({ ...text, architectures: ['Gemma3ForCausalLM'] }), architecture: '', eosTokenIds: [] },
    );
    assert.throws(() => parse({ ...whole, text_config: undefined }), /"text_config" is missing/);
    assert.throws(
      () => parse({ ...whole, tie_word_embeddings: false }),
      /text_config: "tie_word_embeddings" is true/,
    );
    assert.throws(
      () => parse({ ...whole, quantization_config: { quant_method: 'awq' } }),
      /quantization_config: "bits" is missing/,
    );
  });

  for (const [spelling, renamed] of [
    ['transformers 4', (name: string) => `language_model.${name}`],
    ['transformers 5', (name: string) => name.replace(/^model\./, 'model.language_model.')],
  ] as const) {
    it(`finds its tensors as ${spelling} names them, and leaves the rest out`, async () => {
      const tensors = tinyTensors(whole).map((tensor) => ({ ...tensor, name: renamed(tensor.name) }));
      const vision = { ...tensors[0]!, name: 'vision_tower.vision_model.embeddings.patch_embedding.weight' };
      await writeCheckpoint(folder, whole, [...tensors, vision]);
      const checkpoint = await openCheckpoint(folder);
      assert.deepEqual(
        [...checkpoint.tensors.keys()],
        tinyTensors(whole).map(({ name }) => name),
      );
      assert.equal(checkpoint.tensors.get('model.norm.weight')?.name, 'model.norm.weight');
    });

    it(`reads a LoRA trained on it with ${spelling}, patterns included`, async () => {
      const module = renamed('model.layers.1.mlp.up_proj');
      writeJson(join(folder, 'adapter_config.json'), {
        ...{ peft_type: 'LORA', r: 1, lora_alpha: 8 },
        rank_pattern: { [module]: 2 },
      });
      const factor = (side: 'A' | 'B', shape: number[]) => ({
        ...{ name: `base_model.model.${module}.lora_${side}.weight`, dtype: 'F32' as const, shape },
        data: new Float32Array(shape[0]! * shape[1]!),
      });
      const factors = [factor('A', [2, 16]), factor('B', [24, 2])];
      await writeSafetensors(join(folder, 'adapter_model.safetensors'), factors);
      const { pairs } = await readLoraAdapter(folder, parse(whole));
      assert.deepEqual([...pairs.keys()], ['1.up_proj']);
      assert.equal(pairs.get('1.up_proj')!.scaling, 4);
    });
  }
});
