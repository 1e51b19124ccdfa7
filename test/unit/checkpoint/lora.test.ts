import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../../src/protocol/errors.ts';
import { parseModelConfig } from '../../../src/checkpoint/config.ts';
import { adapterId, mergeAdaptersCat, readLoraAdapter, writeAdapter } from '../../../src/checkpoint/lora.ts';
import { writeSafetensors } from '../../../src/checkpoint/safetensors.ts';
import type { LoraAdapter, LoraPair } from '../../../src/checkpoint/types.ts';
import { pickle, tensor, text, writeZip } from '../../fixtures/checkpoint/pickles.ts';
import {
  removeFolder,
  temporaryFolder,
  tinyConfig,
  writeJson,
} from '../../fixtures/checkpoint/tinyCheckpoint.ts';

const model = parseModelConfig(tinyConfig, undefined, 'config.json'); // hidden 16, intermediate 24, two layers

/** A pair of down_proj (24 in, 16 out) filled with one number each. */
function pair(rank: number, scaling: number, value = 1): LoraPair {
  return {
    a: new Float32Array(rank * 24).fill(value),
    b: new Float32Array(16 * rank).fill(2 * value),
    rank,
    inFeatures: 24,
    outFeatures: 16,
    scaling,
  };
}
function adapter(pairs: Record<string, LoraPair>): LoraAdapter {
  const map = new Map(Object.entries(pairs));
  return { id: adapterId(map), pairs: map };
}

describe('LoRA adapters', () => {
  let root: string;
  let count = 0;
  before(() => (root = temporaryFolder()));
  after(() => removeFolder(root));

  const prefix = 'base_model.model.model.layers.0.mlp.down_proj';
  /** Writes a folder with these factors (name -> shape, filled with 1) and changes to its configuration. */
  async function write(factors: Record<string, number[]>, changes: object = {}): Promise<string> {
    const folder = join(root, `adapter${count++}`);
    mkdirSync(folder);
    writeJson(join(folder, 'adapter_config.json'), { peft_type: 'LORA', r: 2, lora_alpha: 32, ...changes });
    const tensors = Object.entries(factors).map(([name, shape]) => {
      return {
        name,
        dtype: 'F32' as const,
        shape,
        data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1),
      };
    });
    await writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors);
    return folder;
  }
  const down = (rank: number, layer = 0): Record<string, number[]> => ({
    [`base_model.model.model.layers.${layer}.mlp.down_proj.lora_A.weight`]: [rank, 24],
    [`base_model.model.model.layers.${layer}.mlp.down_proj.lora_B.weight`]: [16, rank],
  });
  async function refused(folder: string, pattern: RegExp): Promise<void> {
    await assert.rejects(readLoraAdapter(folder, model), (error: unknown) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, pattern);
      return true;
    });
  }
  const scalingOf = async (factors: Record<string, number[]>, changes: object): Promise<number[]> => {
    const { pairs } = await readLoraAdapter(await write(factors, changes), model);
    return [...pairs.values()].map(({ scaling }) => scaling);
  };

  it('reads factors and scaling', async () => {
    const { pairs, id } = await readLoraAdapter(await write(down(2)), model);
    const found = pairs.get('0.down_proj')!;
    assert.deepEqual([found.rank, found.inFeatures, found.outFeatures, found.scaling], [2, 24, 16, 16]);
    assert.match(id, /^[0-9a-f]{64}$/);
  });

  it('reads the key of older files and torch’s .bin', async () => {
    await readLoraAdapter(
      await write({
        [`${prefix}.lora_A.default.weight`]: [2, 24],
        [`${prefix}.lora_B.default.weight`]: [16, 2],
      }),
      model,
    );
    const folder = join(root, 'torch');
    mkdirSync(folder);
    writeJson(join(folder, 'adapter_config.json'), { peft_type: 'LORA', r: 1, lora_alpha: 1 });
    const factor = (name: string, key: string, shape: number[]): Buffer[] => {
      return [text(name), tensor({ key, size: shape[0]! * shape[1]!, shape, strides: [shape[1]!, 1] })];
    };
    await writeZip(
      join(folder, 'adapter_model.bin'),
      pickle(
        '}(',
        ...factor(`${prefix}.lora_A.weight`, '0', [1, 24]),
        ...factor(`${prefix}.lora_B.weight`, '1', [16, 1]),
        'u',
      ),
      { records: { 'data/0': new Uint8Array(96), 'data/1': new Uint8Array(64) } },
    );
    assert.equal((await readLoraAdapter(folder, model)).pairs.size, 1);
  });

  it('scales by alpha and rank, their patterns, and rank-stabilised', async () => {
    assert.deepEqual(await scalingOf(down(2), {}), [16]);
    assert.deepEqual(await scalingOf(down(4), { r: 4, use_rslora: true }), [16]);
    const both = { ...down(2, 0), ...down(4, 1) };
    assert.deepEqual(await scalingOf(both, { rank_pattern: { 'layers.1.mlp.down_proj': 4 } }), [16, 8]);
    const patterns = { rank_pattern: { '1\\.mlp\\..*': 4 }, alpha_pattern: { down_proj: 8 } };
    assert.deepEqual(await scalingOf(both, patterns), [4, 2]);
    // A pattern covers whole parts of a name: "own_proj" is none of down_proj.
    assert.deepEqual(await scalingOf(down(2), { alpha_pattern: { own_proj: 8 } }), [16]);
  });

  it('refuses what is no plain LoRA of the feed-forward layers', async () => {
    const q = 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight';
    await refused(
      await write({ [q]: [2, 16] }),
      /adapts "base_model.*q_proj.*only LoRA on the feed-forward layers/,
    );
    await refused(await write({ 'base_model.model.lm_head.lora_A.weight': [2, 16] }), /adapts ".*lm_head/);
    await refused(
      await write(down(2), { peft_type: 'PROMPT_TUNING' }),
      /"peft_type" is "PROMPT_TUNING"; expected "LORA"/,
    );
    await refused(await write(down(2), { use_dora: true }), /"use_dora" is true/);
    await refused(await write(down(2), { bias: 'all' }), /"bias" is "all"/);
    await refused(await write(down(2), { modules_to_save: ['lm_head'] }), /"modules_to_save"/);
    await refused(await write(down(2), { init_lora_weights: 'pissa_niter_4' }), /"init_lora_weights"/);
    await refused(
      await write(down(2), { rank_pattern: { '(': 2 } }),
      /the pattern "\(" of "rank_pattern" cannot be used/,
    );
    for (const variant of [
      { alora_invocation_tokens: [5, 6] },
      { use_qalora: true },
      { kasa_config: { beta: 1 } },
      { arrow_config: { top_k: 3 } },
      { use_bdlora: { nblocks: 2 } },
      { init_lora_weights: 'lora_ga' },
    ]) {
      await refused(await write(down(2), variant), new RegExp(`"${Object.keys(variant)[0]}"`));
    }
    await refused(await write({}), /holds no LoRA factors/);
    await refused(join(root, 'nowhere'), /is missing; expected the folder of a LoRA adapter/);
  });

  it('refuses patterns that would keep it busy for hours', async () => {
    for (const pattern of ['(\\w+\\.?)+!', '.*.*.*.*.*!', '(.|.)(.|.)(.|.)(.|.)(.|.)!', 'a?b?c?d?e?']) {
      await refused(await write(down(2), { rank_pattern: { [pattern]: 2 } }), /is too complicated/);
    }
    const usual = { '.*\\.(0|1|2)\\..*down_proj': 8 };
    assert.deepEqual(await scalingOf(down(2), { alpha_pattern: usual }), [4]);
  });

  it('refuses what does not fit the model', async () => {
    await refused(await write(down(2, 5)), /adapts layer 5; the model has layers 0 to 1/);
    await refused(await write(down(3)), /lora_A\.weight is \[3, 24\].*should be \[2, 24\]/);
    await refused(await write({ ...down(2), [`${prefix}.lora_A.weight`]: [2, 25] }), /is \[2, 25\]/);
    await refused(
      await write({ [`${prefix}.lora_A.weight`]: [2, 24] }),
      /lacks lora_B of model\.layers\.0\.mlp\.down_proj/,
    );
    const fused = prefix.replace('down_proj', 'gate_up_proj');
    await refused(
      await write({ [`${fused}.lora_A.weight`]: [2, 16], [`${fused}.lora_B.weight`]: [48, 2] }),
      /adapts gate_up_proj, which a LlamaForCausalLM does not have/,
    );
    const folder = await write(down(2));
    const data = new Float32Array(48).fill(NaN);
    const b = {
      name: `${prefix}.lora_B.weight`,
      dtype: 'F32' as const,
      shape: [16, 2],
      data: new Float32Array(32),
    };
    const a = { name: `${prefix}.lora_A.weight`, dtype: 'F32' as const, shape: [2, 24], data };
    await writeSafetensors(join(folder, 'adapter_model.safetensors'), [a, b]);
    await refused(folder, /lora_A\.weight holds values that are not finite/);
  });

  it('merges by concatenation, weights on A alone', () => {
    const merged = mergeAdaptersCat(
      [
        adapter({ '0.down_proj': pair(1, 16, 1) }),
        adapter({ '0.down_proj': pair(2, 4, 3), '1.down_proj': pair(2, 1) }),
      ],
      [0.5, 2],
    );
    const both = merged.pairs.get('0.down_proj')!;
    assert.deepEqual([both.rank, both.scaling], [3, 1]);
    // Rows of A: 1 * 0.5 * 16, then twice 3 * 2 * 4. Columns of B: 2, then twice 6.
    assert.deepEqual([both.a[0], both.a[24], both.a[71]], [8, 24, 24]);
    assert.deepEqual([...both.b.subarray(0, 6)], [2, 6, 6, 2, 6, 6]);
    assert.equal(merged.pairs.get('1.down_proj')!.rank, 2);
    assert.throws(() => mergeAdaptersCat([], []), /0 adapters/);
    assert.throws(() => mergeAdaptersCat([merged], [1, 2]), /1 adapters cannot be merged with 2 weights/);
  });

  it('reads back what it wrote, whatever the ranks and scalings', async () => {
    const mixed = adapter({
      '0.down_proj': pair(2, 16, 0.25),
      '1.down_proj': pair(4, 3, -0.5),
    });
    const folder = join(root, 'written');
    await writeAdapter(folder, mixed, { baseModel: 'demo', loraAlpha: 32 });
    const back = await readLoraAdapter(folder, model);
    assert.deepEqual(back.pairs, mixed.pairs);
    assert.equal(back.id, mixed.id);
    await assert.rejects(
      writeAdapter(folder, mixed, { loraAlpha: 7 }),
      /lora_alpha 7 does not give the scaling 16/,
    );
  });

  it('identifies adapters by their content, not their order', () => {
    const [a, b] = [pair(1, 2), pair(2, 2)];
    assert.equal(
      adapter({ '0.down_proj': a, '1.down_proj': b }).id,
      adapter({ '1.down_proj': b, '0.down_proj': a }).id,
    );
    assert.notEqual(adapter({ '0.down_proj': a }).id, adapter({ '0.down_proj': pair(1, 3) }).id);
    assert.notEqual(adapter({ '0.down_proj': a }).id, adapter({ '0.down_proj': pair(1, 2, 5) }).id);
  });
});
