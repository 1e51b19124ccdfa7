/** Run by ../webgpu.test.ts. An adapter in software is slow: every test earns its time. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readLoraAdapter } from '../../../src/checkpoint/lora.ts';
import { Decoder } from '../../../src/decoder/decoder.ts';
import { chooseDevice, describeDevices } from '../../../src/decoder/device.ts';
import { allLogits, answers, generations, scenarioPrompt } from '../../support/decoding.ts';
import {
  architectureFolder,
  largestDifference,
  oracleCheckpoints,
  readArchitecture,
  readGolden,
  readGoldenFolder,
} from '../../support/oracle.ts';

const checkpoints = oracleCheckpoints();
const options = { device: 'webgpu', precision: 'f32' } as const;

describe('on WebGPU', function () {
  this.timeout(600_000);

  it('the adapter is described, and asked for by name it is taken', async () => {
    const webgpu = (await describeDevices()).find(({ device }) => device === 'webgpu');
    assert.ok(webgpu?.usable, webgpu?.detail);
    assert.equal((await chooseDevice('webgpu')).device, 'webgpu');
    const automatic = await chooseDevice('auto');
    assert.equal(
      automatic.device,
      webgpu.detail.includes('in software') ? 'cpu' : 'webgpu',
      automatic.reason,
    );
  });

  for (const checkpoint of checkpoints) {
    describe(checkpoint.name, () => {
      const golden = readGolden(checkpoint.name);
      const names = Object.keys(golden.scenarios);
      const expected = (name: string): number[] => golden.scenarios[name]!.greedy_ids;
      let decoder: Decoder;
      before(async () => {
        decoder = await Decoder.open(checkpoint.folder, options);
      });
      after(() => decoder.dispose());

      for (const name of names) {
        it(`${name}: logits of all positions`, async () => {
          const logits = await allLogits(decoder, scenarioPrompt(golden, name));
          assert.ok(largestDifference(logits, golden.tensor(`${name}/logits`)) < 1e-4);
        });
      }

      it('all scenarios in one comparison: the greedy texts', async () => {
        const prompts = names.map((name) => scenarioPrompt(golden, name));
        assert.deepEqual(await answers(decoder, prompts), names.map(expected));
      });

      it('again, in another order, from the prefix cache; finished rows leave the batch', async () => {
        const settings = { maxNewTokens: 24, ignoreEos: true };
        const order = ['vt10', 'baseline'];
        const results = await generations(
          decoder,
          order.map((name) => scenarioPrompt(golden, name)),
          settings,
        );
        assert.deepEqual(
          results.map(({ tokenIds }) => tokenIds),
          order.map(expected),
        );
        for (const { sharedTokens } of results) assert.ok(sharedTokens >= golden.prefix_ids.length);
      });
    });
  }

  for (const name of ['gemma3', 'granite', 'smollm3-window']) {
    it(`${name}: logits and greedy texts of a comparison`, async () => {
      const folder = join(architectureFolder, name);
      const golden = readArchitecture(name);
      const scenarios = Object.entries(golden.scenarios);
      const decoder = await Decoder.open(folder, options);
      for (const [scenario, { logits_at }] of scenarios) {
        const logits = await allLogits(decoder, scenarioPrompt(golden, scenario), logits_at);
        assert.ok(largestDifference(logits, golden.tensor(`${scenario}/logits`)) < 1e-4, scenario);
      }
      const prompts = scenarios.map(([scenario]) => scenarioPrompt(golden, scenario));
      const expected = scenarios.map(([, { greedy_ids }]) => greedy_ids);
      assert.deepEqual(await answers(decoder, prompts), expected);
      await decoder.dispose();
    });
  }

  it('heads that the fused attention does not take are refused', async () => {
    for (const [name, what] of [
      ['qwen3-windows', /attention heads of 24 values; on webgpu only multiples of 16/],
      ['phi-4-mini', /12 rotated values in each attention head; on webgpu only multiples of 16/],
    ] as const) {
      await assert.rejects(Decoder.open(join(architectureFolder, name), options), what);
    }
  });

  const [checkpoint] = checkpoints;
  if (!checkpoint) return;
  const golden = readGolden(checkpoint.name);

  it('every row of a batch has its own adapter, also after questions without one', async () => {
    const decoder = await Decoder.open(checkpoint.folder, options);
    const { config } = decoder.checkpoint;
    const prompt = scenarioPrompt(golden, 'baseline');
    const [before] = await answers(decoder, [prompt]);
    const merged = await readLoraAdapter(`${checkpoint.adapters}/merged`, config);
    const other = await readLoraAdapter(`${checkpoint.adapters}/adapter0`, config);
    const together = await answers(decoder, [
      { ...prompt, adapter: merged },
      prompt,
      { ...prompt, adapter: other },
    ]);
    assert.deepEqual(together[0], golden.prag.greedy['merged_combine']!.greedy_ids);
    assert.deepEqual(together[1], before);
    assert.deepEqual([together[2]], await answers(decoder, [{ ...prompt, adapter: other }]));
    await decoder.dispose();
  });

  for (const precision of ['int8', 'int4'] as const) {
    it(`${precision}: near the exact logits`, async () => {
      const quantizedFolder = mkdtempSync(join(tmpdir(), 'spring-quantized-'));
      const decoder = await Decoder.open(checkpoint.folder, { device: 'webgpu', precision, quantizedFolder });
      const logits = await allLogits(decoder, scenarioPrompt(golden, 'baseline'));
      const exact = golden.tensor('baseline/logits');
      const mean = logits.reduce((sum, value, i) => sum + Math.abs(value - exact[i]!), 0) / logits.length;
      assert.ok(mean < (precision === 'int8' ? 0.012 : 0.12), `mean difference ${mean}`);
      await decoder.dispose();
      rmSync(quantizedFolder, { recursive: true });
    });
  }

  it('a device that fails is left for the CPU; the answers are the same', async () => {
    const notices: string[] = [];
    const onNotice = (message: string): void => void notices.push(message);
    const decoder = await Decoder.open(checkpoint.folder, { ...options, onNotice });
    const { session } = decoder;
    const forward = session.forward.bind(session);
    let passes = 0;
    session.forward = (input) => {
      if (++passes > 6) throw new Error('Device lost (test)');
      return forward(input);
    };
    const names = ['baseline', 'vt10'];
    const results = await answers(
      decoder,
      names.map((name) => scenarioPrompt(golden, name)),
    );
    assert.deepEqual(
      results,
      names.map((name) => golden.scenarios[name]!.greedy_ids),
    );
    assert.equal(decoder.device, 'cpu');
    assert.equal(notices.length, 1);
    assert.match(notices[0]!, /webgpu failed.*Device lost/);
    await decoder.dispose();
  });

  for (const [path, precision] of [
    ['gguf/llama-q4_k_m/model.gguf', 'native'], // minima, blocks of 16
    ['gguf/llama-q8_0/model.gguf', 'exact'],
    ['quantized/awq-32', 'native'],
    ['quantized/gptq-8-symmetric-64', 'exact'],
  ] as const) {
    it(`${path} in ${precision}: the greedy text`, async () => {
      const quantizedFolder = mkdtempSync(join(tmpdir(), 'spring-blocks-'));
      const file = join(dirname(architectureFolder), path);
      const golden = readGoldenFolder(path.endsWith('.gguf') ? dirname(file) : file);
      const decoder = await Decoder.open(file, { device: 'webgpu', precision, quantizedFolder });
      try {
        const [answer] = await answers(decoder, [scenarioPrompt(golden, 'vt10')]);
        assert.deepEqual(answer, golden.scenarios['vt10']!.greedy_ids);
      } finally {
        await decoder.dispose();
        rmSync(quantizedFolder, { recursive: true });
      }
    });
  }
});
