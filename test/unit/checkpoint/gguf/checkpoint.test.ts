/** GGUF files as checkpoints: what metadata mean, what is refused by name and key. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '../../../../src/checkpoint/checkpoint.ts';
import { openTokenizer } from '../../../../src/checkpoint/tokenizer.ts';
import type { Checkpoint } from '../../../../src/checkpoint/types.ts';
import { UserError } from '../../../../src/protocol/errors.ts';
import { ropeTables } from '../../../../src/decoder/rope.ts';
import { float32Bytes, uint32, uint64, writeGguf } from '../../../support/ggufWriter.ts';
import type { GgufContent, MetadataValue, TensorEntry } from '../../../support/ggufWriter.ts';
import { tinyModel, tinySizes } from '../../../support/tinyGgufModel.ts';

type Changes = Parameters<typeof tinyModel>[0];

describe('GGUF files as checkpoints', () => {
  let folder: string;
  let path: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'spring-gguf-'));
    path = join(folder, 'sha256-00ff'); // a name as Ollama's blobs have
  });
  after(() => rmSync(folder, { recursive: true }));

  async function open(content: GgufContent): Promise<Checkpoint> {
    writeGguf(path, content);
    const checkpoint = await openCheckpoint(path);
    await openTokenizer(path, checkpoint.config.vocabSize);
    return checkpoint;
  }
  const opened = (changes: Changes): Promise<Checkpoint> => open(tinyModel(changes));
  const withKeys = (metadata: Record<string, MetadataValue | undefined>): Promise<Checkpoint> =>
    opened({ metadata });
  async function refused(content: GgufContent, message: RegExp): Promise<void> {
    await assert.rejects(open(content), (error: unknown) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      assert.ok(error.message.startsWith(path));
      return true;
    });
  }
  const refusedKeys = (metadata: Record<string, MetadataValue | undefined>, message: RegExp): Promise<void> =>
    refused(tinyModel({ metadata }), message);
  const vector = (name: string, values: readonly number[]): TensorEntry => ({
    name,
    dimensions: [values.length],
    data: float32Bytes(values),
  });

  it('a Llama is opened, its heads known as interleaved', async () => {
    const { config, tensors, format, weightBytes } = await opened({});
    assert.equal(format, 'gguf');
    assert.ok(weightBytes > 0);
    assert.deepEqual(
      [config.architecture, config.vocabSize, config.headDim, config.numKeyValueHeads],
      ['LlamaForCausalLM', tinySizes.vocabulary, 8, 2],
    );
    assert.deepEqual([config.bosTokenId, config.eosTokenIds, config.padTokenId], [1, [2], null]);
    assert.equal(config.tieWordEmbeddings, false);
    assert.equal(tensors.get('model.layers.0.self_attn.q_proj.weight')!.interleavedHeadDim, 8);
    assert.equal(tensors.get('model.layers.0.self_attn.v_proj.weight')!.interleavedHeadDim, undefined);
    assert.deepEqual(tensors.get('model.layers.0.mlp.down_proj.weight')!.shape, [32, 64]);
  });

  it('keys may be absent where the file or the format has another source', async () => {
    assert.equal((await withKeys({ 'llama.vocab_size': undefined })).config.vocabSize, tinySizes.vocabulary);
    assert.equal((await withKeys({ 'llama.rope.freq_base': undefined })).config.ropes[0]!.theta, 10000);
    assert.equal((await withKeys({ 'llama.rope.dimension_count': undefined })).config.headDim, 8);
    const tied = await opened({ tensors: { 'output.weight': undefined } });
    assert.equal(tied.config.tieWordEmbeddings, true);
    await withKeys({ 'llama.attention.head_count': ['uint64', 4], 'llama.block_count': ['int8', 1] });
  });

  it('a missing or wrong key is named', async () => {
    for (const key of [
      'llama.attention.head_count',
      'llama.block_count',
      'llama.context_length',
      'llama.embedding_length',
      'llama.feed_forward_length',
      'llama.attention.layer_norm_rms_epsilon',
      'general.architecture',
    ]) {
      await refusedKeys({ [key]: undefined }, new RegExp(`"${key}" is missing; expected`));
    }
    await refusedKeys(
      { 'llama.attention.head_count': ['string', '4'] },
      /head_count" is the text "4"; expected/,
    );
    await refusedKeys({ 'llama.attention.head_count': ['uint32', 0] }, /head_count" is 0 \(uint32\)/);
    await refusedKeys({ 'llama.attention.head_count': ['uint32', 5] }, /an even size of each head|a divisor/);
    await refusedKeys(
      { 'llama.attention.head_count_kv': ['uint32', 3] },
      /a divisor of attention.head_count/,
    );
    await refusedKeys({ 'llama.block_count': ['uint64', 2n ** 40n] }, /block_count" is 1099511627776/);
    await refusedKeys({ 'llama.block_count': ['array', 'int32', [1]] }, /block_count" is a list of 1 values/);
    await refusedKeys({ 'llama.rope.freq_base': ['float32', NaN] }, /rope.freq_base" is NaN/);
    await refusedKeys(
      { 'llama.rope.dimension_count': ['uint32', 4] },
      /is 4 \(uint32\); expected 8, the length/,
    );
    await refusedKeys({ 'llama.attention.value_length': ['uint32', 4] }, /value_length" is 4/);
    await refusedKeys(
      { 'tokenizer.ggml.bos_token_id': ['uint32', 99999] },
      /bos_token_id" is 99999.*280 tokens/,
    );
    await refusedKeys({ 'tokenizer.ggml.eos_token_id': ['int32', -7] }, /eos_token_id" is -7/);
    await withKeys({ 'tokenizer.ggml.padding_token_id': ['uint32', 2 ** 32 - 1] });
  });

  it('other architectures and computations are refused by name', async () => {
    await refusedKeys(
      { 'general.architecture': ['string', 'mamba9'] },
      /the architecture "mamba9" is not supported. Supported: llama, qwen2, qwen3, phi3, gemma3, smollm3, granite/,
    );
    await refusedKeys(
      { 'general.architecture': ['string', 'constructor'] },
      /"constructor" is not supported/,
    );
    const computations: [string, MetadataValue, RegExp][] = [
      ['expert_count', ['uint32', 8], /mixtures of experts are not supported/],
      ['attention.max_alibi_bias', ['float32', 8], /ALiBi is not supported/],
      ['attention.clamp_kqv', ['float32', 30], /clamped queries/],
      ['attn_logit_softcapping', ['float32', 50], /soft caps/],
      ['final_logit_softcapping', ['float32', 30], /soft caps/],
      ['attention.causal', ['bool', false], /attention to later tokens/],
      ['residual_scale', ['float32', 0.2], /none in a model of the kind llama/],
      ['rope.scaling.type', ['string', 'ntk'], /expected "linear" or "yarn"/],
      ['rope.scaling.attn_factor', ['float32', 1.2], /1 without a scaling of the type/],
    ];
    for (const [key, value, message] of computations) await refusedKeys({ [`llama.${key}`]: value }, message);
    await withKeys({ 'llama.expert_count': ['uint32', 0], 'llama.attention.causal': ['bool', true] });
  });

  it('missing, misshapen and unknown tensors are named as the file names them', async () => {
    await refused(
      tinyModel({ tensors: { 'blk.0.attn_v.weight': undefined } }),
      /blk.0.attn_v.weight is missing from the weight files/,
    );
    await refused(
      tinyModel({ tensors: { 'output_norm.weight': vector('output_norm.weight', [1, 2]) } }),
      /output_norm.weight is \[2\], expected \[32\]/,
    );
    await refused(
      tinyModel({ metadata: { 'llama.vocab_size': ['uint32', 281] } }),
      /token_embd.weight is \[280, 32\], expected \[281, 32\]/,
    );
    const norm = {
      name: 'blk.0.attn_q_norm.weight',
      dimensions: [8],
      data: float32Bytes(new Float32Array(8)),
    };
    await refused(
      tinyModel({ tensors: { [norm.name]: norm } }),
      /"blk.0.attn_q_norm.weight" is no tensor of the architecture "llama"/,
    );
    const integers = { name: 'output_norm.weight', type: 26, dimensions: [32], data: new Uint8Array(128) };
    await refused(tinyModel({ tensors: { 'output_norm.weight': integers } }), /has the element type I32/);
    const blocks = { name: 'output_norm.weight', type: 8, dimensions: [32], data: new Uint8Array(34) };
    await refused(tinyModel({ tensors: { 'output_norm.weight': blocks } }), /has the element type Q8_0/);
    const q8 = { name: 'output.weight', type: 8, dimensions: [32, 280], data: new Uint8Array(34 * 280) };
    const { tensors } = await opened({ tensors: { 'output.weight': q8 } });
    assert.equal(tensors.get('lm_head.weight')!.dtype, 'Q8_0');
  });

  it('the vocabulary must fit', async () => {
    const scores: MetadataValue = ['array', 'float32', [0, 1]];
    await refusedKeys({ 'tokenizer.ggml.scores': scores }, /scores/);
    await refusedKeys(
      { 'tokenizer.ggml.token_type': ['array', 'int32', [1]] },
      /token_type has 1 values for 280/,
    );
    const unsigned: MetadataValue = ['array', 'uint32', new Array<number>(280).fill(1)];
    await withKeys({ 'tokenizer.ggml.token_type': unsigned });
    await refusedKeys(
      { 'tokenizer.ggml.model': ['string', 'gpt2'], 'tokenizer.ggml.pre': ['string', 'x9'] },
      /"x9"/,
    );
    const deep = Buffer.concat([uint32(9), uint32(9), uint64(1), uint32(4), uint64(0)]);
    await refusedKeys({ 'x.deep': deep }, /"x.deep" is a list of lists/);
  });

  it('rotations: linear, yarn, factors for each frequency', async () => {
    const rope = async (changes: Changes) => (await opened(changes)).config.ropes[0]!;
    assert.deepEqual(await rope({ metadata: { 'llama.rope.scaling.factor': ['float32', 4] } }), {
      ...{ type: 'linear', theta: 10000, partialRotaryFactor: 1, factor: 4 },
      originalMaxPositionEmbeddings: 128,
    });
    assert.equal((await rope({ metadata: { 'llama.rope.scale_linear': ['float32', 4] } })).factor, 4);
    const none: MetadataValue = ['string', 'none'];
    const unscaled = {
      'llama.rope.scaling.factor': ['float32', 4],
      'llama.rope.scaling.type': none,
    } as const;
    assert.equal(
      (await rope({ metadata: unscaled as unknown as Record<string, MetadataValue> })).type,
      'default',
    );
    const yarn = await rope({
      metadata: {
        'llama.rope.scaling.type': ['string', 'yarn'],
        'llama.rope.scaling.factor': ['float32', 4],
        'llama.rope.scaling.original_context_length': ['uint32', 32],
      },
    });
    assert.deepEqual([yarn.type, yarn.factor, yarn.originalMaxPositionEmbeddings], ['yarn', 4, 32]);
    assert.ok(Math.abs(yarn.attentionFactor! - (0.1 * Math.log(4) + 1)) < 1e-9);

    const divisors = [1, 2, 4, 8];
    const { config } = await opened({ tensors: { f: vector('rope_freqs.weight', divisors) } });
    const divided = ropeTables(config, config.ropes[0]!, 2, 2);
    const { config: plain } = await opened({});
    const whole = ropeTables(plain, plain.ropes[0]!, 2, 2);
    for (const [i, divisor] of divisors.entries()) {
      const angle = Math.asin(whole.sin[4 + i]!) / divisor;
      assert.ok(Math.abs(divided.sin[4 + i]! - Math.sin(angle)) < 1e-6);
    }
    const wrong = vector('rope_freqs.weight', [1, 2, 4]);
    await refused(tinyModel({ tensors: { f: wrong } }), /shape \[3\]; expected 4 float numbers/);
    const zero = vector('rope_freqs.weight', [1, 2, 0, 4]);
    await refused(tinyModel({ tensors: { f: zero } }), /factors that are not above 0/);
    const long = vector('rope_factors_long.weight', divisors);
    await refused(tinyModel({ tensors: { f: long } }), /rope_factors_short.weight beside/);
  });
});
