import assert from 'node:assert/strict';
import { parseModelConfig } from '../../../src/checkpoint/config.ts';
import type { Architecture, ModelConfig } from '../../../src/checkpoint/types.ts';
import { UserError } from '../../../src/protocol/errors.ts';
import { tinyConfig } from '../../fixtures/checkpoint/tinyCheckpoint.ts';

/** The tiny configuration with changes. */
function parse(changes: object = {}, generation?: Record<string, unknown>): ModelConfig {
  return parseModelConfig({ ...tinyConfig, ...changes }, generation, 'config.json');
}
const as = (architecture: Architecture): object => ({ architectures: [architecture] });

describe('model configurations', () => {
  it('reads the sizes', () => {
    const config = parse();
    assert.equal(config.headDim, 4);
    assert.equal(config.numKeyValueHeads, 2);
    assert.equal(config.maxPositionEmbeddings, 128);
    assert.deepEqual(config.ropes[0], { type: 'default', theta: 10000, partialRotaryFactor: 1 });
    assert.equal(config.bosTokenId, 1);
    assert.equal(config.padTokenId, null);
  });

  it('takes the end tokens of generation_config.json first, as a number or a list', () => {
    assert.deepEqual(parse().eosTokenIds, [2]);
    assert.deepEqual(parse({ eos_token_id: [3, 4] }).eosTokenIds, [3, 4]);
    assert.deepEqual(parse({}, { eos_token_id: [5, 6] }).eosTokenIds, [5, 6]);
    assert.deepEqual(parse({}, { eos_token_id: 7 }).eosTokenIds, [7]);
    assert.deepEqual(parse({}, { eos_token_id: null }).eosTokenIds, [2]);
    assert.deepEqual(parse({ eos_token_id: null }).eosTokenIds, []);
    assert.equal(parse({ pad_token_id: -1 }).padTokenId, null);
  });

  it('knows each architecture’s biases and fused projections', () => {
    assert.deepEqual(parse().attentionBias, { qkv: false, output: false });
    assert.deepEqual(parse({ attention_bias: true }).attentionBias, { qkv: true, output: true });
    assert.equal(parse({ mlp_bias: true }).mlpBias, true);
    assert.deepEqual(parse(as('Qwen2ForCausalLM')).attentionBias, { qkv: true, output: false });
    const qwen3 = parse({ ...as('Qwen3ForCausalLM'), attention_bias: true });
    assert.deepEqual(qwen3.attentionBias, { qkv: true, output: true });
    assert.equal(qwen3.queryKeyNorm, true);
    const phi3 = parse({ ...as('Phi3ForCausalLM'), attention_bias: true });
    assert.deepEqual(phi3.attentionBias, { qkv: false, output: false });
    assert.equal(phi3.fusedProjections, true);
    assert.equal(
      parse({ ...as('MistralForCausalLM'), mlp_bias: true, num_key_value_heads: 2 }).mlpBias,
      false,
    );
  });

  it('knows each architecture’s head size', () => {
    assert.equal(parse({ head_dim: 8 }).headDim, 8);
    assert.equal(parse({ head_dim: null }).headDim, 4);
    assert.equal(parse(as('Qwen3ForCausalLM')).headDim, 128);
    assert.throws(() => parse({ hidden_size: 18 }), /num_attention_heads.*divisor of hidden_size/);
  });

  it('assumes what transformers does where the file is silent', () => {
    const silent = { num_key_value_heads: undefined, rms_norm_eps: undefined };
    assert.equal(parse(silent).numKeyValueHeads, 4);
    assert.equal(parse(silent).rmsNormEps, 1e-6);
    assert.equal(parse({ ...silent, ...as('Phi3ForCausalLM') }).rmsNormEps, 1e-5);
    const mistral = parse({ ...silent, ...as('MistralForCausalLM'), num_attention_heads: 8 });
    assert.equal(mistral.numKeyValueHeads, 8);
  });

  it('gives sliding windows to the layers that use them', () => {
    const windows = (changes: object): readonly (number | null)[] => parse(changes).slidingWindows;
    assert.deepEqual(windows({ sliding_window: 8 }), [null, null]); // Llama has none
    const mistral = as('MistralForCausalLM');
    assert.deepEqual(windows({ ...mistral, sliding_window: 8 }), [8, 8]);
    assert.deepEqual(windows({ ...mistral, sliding_window: null }), [null, null]);
    assert.deepEqual(windows(mistral), [4096, 4096]);
    assert.deepEqual(windows({ ...as('Phi3ForCausalLM'), sliding_window: 9 }), [9, 9]);
    for (const architecture of ['Qwen2ForCausalLM', 'Qwen3ForCausalLM'] as const) {
      const qwen = { ...as(architecture), sliding_window: 8, max_window_layers: 1 };
      assert.deepEqual(windows(qwen), [null, null]);
      assert.deepEqual(windows({ ...qwen, use_sliding_window: true }), [null, 8]);
      assert.deepEqual(windows({ ...qwen, use_sliding_window: true, max_window_layers: 0 }), [8, 8]);
      assert.deepEqual(windows({ ...qwen, use_sliding_window: true, sliding_window: null }), [null, null]);
      const layerTypes = ['sliding_attention', 'full_attention'];
      assert.deepEqual(windows({ ...qwen, use_sliding_window: true, layer_types: layerTypes }), [8, null]);
      assert.deepEqual(windows({ ...qwen, layer_types: layerTypes }), [null, null]);
      assert.throws(() =>
        windows({ ...qwen, use_sliding_window: true, layer_types: ['linear_attention', ''] }),
      );
    }
  });

  it('reads every kind of rotary embedding in both layouts', () => {
    const kinds: [object, object][] = [
      [
        { type: 'linear', factor: 2 },
        { type: 'linear', factor: 2, originalMaxPositionEmbeddings: 128 },
      ],
      [
        { type: 'dynamic', factor: 4 },
        { type: 'dynamic', factor: 4, originalMaxPositionEmbeddings: 128 },
      ],
      [
        {
          rope_type: 'llama3',
          factor: 8,
          low_freq_factor: 1,
          high_freq_factor: 4,
          original_max_position_embeddings: 64,
        },
        { type: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositionEmbeddings: 64 },
      ],
      [
        {
          rope_type: 'yarn',
          factor: 4,
          original_max_position_embeddings: 32,
          mscale: 0.707,
          mscale_all_dim: 0,
        },
        {
          type: 'yarn',
          factor: 4,
          originalMaxPositionEmbeddings: 32,
          betaFast: 32,
          betaSlow: 1,
          mscale: 0.707,
          truncate: true,
        },
      ],
      [
        {
          rope_type: 'longrope',
          short_factor: [1, 1],
          long_factor: [2, 3],
          original_max_position_embeddings: 32,
          attention_factor: 1.5,
        },
        {
          type: 'longrope',
          factor: 4,
          originalMaxPositionEmbeddings: 32,
          shortFactor: [1, 1],
          longFactor: [2, 3],
          attentionFactor: 1.5,
        },
      ],
    ];
    for (const [written, expected] of kinds) {
      const rope = { theta: 5000, partialRotaryFactor: 1, ...expected };
      assert.deepEqual(parse({ rope_scaling: written, rope_theta: 5000 }).ropes, [rope, rope]);
      assert.deepEqual(parse({ rope_parameters: { ...written, rope_theta: 5000 } }).ropes, [rope, rope]);
    }
  });

  it('reads Phi-3’s spelling of longrope and its partial rotation', () => {
    const phi3 = {
      ...as('Phi3ForCausalLM'),
      original_max_position_embeddings: 32,
      partial_rotary_factor: 0.5,
      rope_scaling: { type: 'su', short_factor: [1], long_factor: [4] },
    };
    const expected = {
      type: 'longrope',
      theta: 10000,
      partialRotaryFactor: 0.5,
      originalMaxPositionEmbeddings: 32,
      factor: 4,
      shortFactor: [1],
      longFactor: [4],
    };
    assert.deepEqual(parse(phi3).ropes[0], expected);
    assert.deepEqual(
      parse({ ...phi3, rope_scaling: { ...phi3.rope_scaling, type: 'yarn' } }).ropes[0],
      expected,
    );
  });

  const bad: [string, object, RegExp][] = [
    [
      'an unknown rotation',
      { rope_scaling: { type: 'spiral' } },
      /"type" is "spiral"; expected one of default, linear/,
    ],
    [
      'parameters per layer type where all layers rotate alike',
      { rope_parameters: { full_attention: { rope_type: 'default', rope_theta: 5000 } } },
      /per layer type are not supported for this architecture/,
    ],
    ['a missing factor', { rope_scaling: { rope_type: 'linear' } }, /"factor" is missing/],
    [
      'factors of the wrong length',
      { rope_scaling: { type: 'longrope', short_factor: [1], long_factor: [1, 2] } },
      /"short_factor".*expected 2 numbers/,
    ],
    [
      'an odd rotation',
      { ...as('Phi3ForCausalLM'), partial_rotary_factor: 0.3 },
      /partial_rotary_factor 0\.3/,
    ],
    [
      'another activation',
      { hidden_act: 'gelu' },
      /"hidden_act" is "gelu"; expected "silu" or "gelu_pytorch_tanh"/,
    ],
    [
      'an unsupported architecture',
      { architectures: ['GemmaForCausalLM'] },
      /GemmaForCausalLM is not supported\. Supported: LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Phi3ForCausalLM, Qwen3ForCausalLM, Gemma3ForCausalLM/,
    ],
    ['no architecture', { architectures: null }, /no architecture is named\. Supported: Llama/],
    ...(
      [
        [
          { quant_method: 'bitsandbytes', load_in_4bit: true },
          /quantised with "bitsandbytes".*Supported: GPTQ/,
        ],
        [{ quant_method: 'compressed-tensors', format: 'pack-quantized' }, /"compressed-tensors"/],
        [{ quant_method: 'fp8' }, /"fp8"/],
        [{ bits: 4 }, /"quant_method" is missing/],
        [
          { quant_method: 'gptq', bits: 4, group_size: 128, desc_act: true },
          /"desc_act" is true; expected false/,
        ],
        [{ quant_method: 'gptq', bits: 3, group_size: 128 }, /"bits" is 3; expected 4 or 8/],
        [{ quant_method: 'gptq', bits: 4, group_size: -1 }, /"group_size" is -1; expected 32, 64 or 128/],
        [{ quant_method: 'gptq', bits: 4 }, /"group_size" is missing/],
        [
          { quant_method: 'gptq', bits: 4, group_size: 32, checkpoint_format: 'marlin' },
          /"marlin"; expected "gptq"/,
        ],
        [
          { quant_method: 'gptq', bits: 4, group_size: 32, is_marlin_format: true },
          /"is_marlin_format" is true/,
        ],
        [{ quant_method: 'gptq', bits: 4, group_size: 32, dynamic: { '-:x': {} } }, /"dynamic"/],
        [{ quant_method: 'awq', bits: 8, group_size: 128 }, /"bits" is 8; expected 4/],
        [{ quant_method: 'awq', bits: 4, group_size: 128, version: 'gemv' }, /"version" is "gemv"/],
        [{ quant_method: 'awq', bits: 4, group_size: 128, backend: 'llm-awq' }, /"backend" is "llm-awq"/],
      ] as [Record<string, unknown>, RegExp][]
    ).map(([quantization, message]): [string, Record<string, unknown>, RegExp] => [
      `weights quantised as ${JSON.stringify(quantization)}`,
      { quantization_config: quantization },
      message,
    ]),
    [
      'a missing size',
      { hidden_size: undefined },
      /"hidden_size" is missing; expected a positive whole number/,
    ],
    ['an impossible size', { num_hidden_layers: 0 }, /"num_hidden_layers" is 0/],
    ['an absurd size', { num_hidden_layers: 1e9 }, /"num_hidden_layers" is 1000000000; expected at most/],
    [
      'key heads that do not divide',
      { num_key_value_heads: 3 },
      /"num_key_value_heads" is 3; expected a divisor/,
    ],
    ['a text for a number', { vocab_size: '32' }, /"vocab_size" is "32"/],
    ['a broken end token', { eos_token_id: ['</s>'] }, /"eos_token_id"/],
  ];
  for (const [what, changes, message] of bad) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => parse(changes),
        (error: unknown) => {
          assert.ok(error instanceof UserError);
          assert.match(error.message, /^config\.json/);
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }
});
