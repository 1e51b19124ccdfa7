import assert from 'node:assert/strict';
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts';
import { preparedWeights, type PreparedWeights } from '../../src/checkpoint/quantized/store.ts';
import { Decoder } from '../../src/decoder/decoder.ts';
import { CancelledError, UserError } from '../../src/protocol/errors.ts';
import { allLogits, answers, scenarioPrompt } from '../support/decoding.ts';
import {
  architectureFolder,
  demoFolder,
  oracleCheckpoints,
  readArchitecture,
  readGolden,
  type Golden,
} from '../support/oracle.ts';

/** Largest mean difference of logits from float32's, as a share of their root mean square. */
const tolerance = { int8: 0.028, int4: 0.28 } as const;

describe('quantised weights', () => {
  let root: string;
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'spring-quantized-'));
  });
  after(() => rmSync(root, { recursive: true }));

  for (const { name, folder } of oracleCheckpoints()) {
    for (const precision of ['int8', 'int4'] as const) {
      it(`${name} in ${precision}: near the exact logits, and comparisons as separate runs`, async () => {
        const golden = readGolden(name);
        const decoder = await Decoder.open(folder, { device: 'cpu', precision, quantizedFolder: root });
        await checkNear(decoder, golden, precision);
        const prompts = ['baseline', 'vt1', 'vt10'].map((scenario) => scenarioPrompt(golden, scenario));
        const alone: number[][] = [];
        for (const prompt of prompts) alone.push((await answers(decoder, [prompt]))[0]!);
        assert.deepEqual(await answers(decoder, prompts), alone);
        await decoder.dispose();
      });
    }
  }

  for (const name of ['gemma3', 'granite', 'smollm3-window']) {
    for (const precision of ['int8', 'int4'] as const) {
      it(`${name} in ${precision}: near the exact logits`, async () => {
        const folder = join(architectureFolder, name);
        const decoder = await Decoder.open(folder, { device: 'cpu', precision, quantizedFolder: root });
        await checkNear(decoder, readArchitecture(name), precision);
        await decoder.dispose();
      });
    }
  }

  describe('kept between sessions', () => {
    let model: string;
    let store: string;
    beforeEach(() => {
      model = join(mkdtempSync(join(root, 'model-')), 'demo');
      cpSync(demoFolder, model, { recursive: true });
      store = join(model, '..', 'store');
    });

    /** Makes or finds the weights. @returns them and whether they had to be made */
    async function get(signal?: AbortSignal): Promise<{ weights: PreparedWeights; made: boolean }> {
      const steps = preparedWeights(await openCheckpoint(model), 'int4', store, signal);
      let made = false;
      for (;;) {
        const step = await steps.next();
        if (step.done) return { weights: step.value, made };
        made = true;
        assert.ok(step.value.done <= step.value.total);
      }
    }

    it('made once, then found', async () => {
      const first = await get();
      assert.ok(first.made);
      const second = await get();
      assert.ok(!second.made);
      assert.deepEqual(second.weights, first.weights);
    });

    it('made again when the checkpoint has changed', async () => {
      await get();
      utimesSync(join(model, 'model.safetensors'), new Date(), new Date(Date.now() + 5000));
      assert.ok((await get()).made);
    });

    it('made again when the kept file is damaged, cut off or has no record', async () => {
      const { folder } = (await get()).weights;
      const file = join(folder, 'model.safetensors');
      const bytes = readFileSync(file);
      bytes[bytes.length - 100]! ^= 1;
      writeFileSync(file, bytes);
      assert.ok((await get()).made, 'damaged');
      truncateSync(file, 5000);
      assert.ok((await get()).made, 'cut off');
      rmSync(join(folder, 'record.json'));
      assert.ok((await get()).made, 'no record');
      assert.ok(!(await get()).made);
    });

    it('a copy with other times is accepted by its checksums', async () => {
      const { folder } = (await get()).weights;
      utimesSync(join(folder, 'model.safetensors'), new Date(), new Date(0));
      assert.ok(!(await get()).made);
    });

    it('cancelled: nothing is left', async () => {
      const controller = new AbortController();
      controller.abort();
      await assert.rejects(get(controller.signal), CancelledError);
      assert.deepEqual(readdirSync(store), []);
    });

    it('a weight that is not finite is refused by name', async () => {
      const { tensors } = await openCheckpoint(model);
      const { offset, file } = tensors.get('model.layers.3.mlp.up_proj.weight')!;
      const bytes = readFileSync(file);
      bytes.writeUInt16LE(0x7e00, offset + 20); // a float16 NaN
      writeFileSync(file, bytes);
      await assert.rejects(get(), (error) => {
        assert.ok(error instanceof UserError);
        assert.match(error.message, /model\.layers\.3\.mlp\.up_proj\.weight.*not finite/);
        return true;
      });
    });
  });
});

async function checkNear(decoder: Decoder, golden: Golden, precision: keyof typeof tolerance): Promise<void> {
  const at = golden.scenarios['vt10']!.logits_at;
  const logits = await allLogits(decoder, scenarioPrompt(golden, 'vt10'), at);
  const exact = golden.tensor('vt10/logits');
  const mean = logits.reduce((sum, value, i) => sum + Math.abs(value - exact[i]!), 0) / logits.length;
  const share = mean / Math.sqrt(exact.reduce((sum, value) => sum + value ** 2, 0) / exact.length);
  assert.ok(share < tolerance[precision], `mean difference ${share}`);
  assert.ok(share > 2e-5, 'the weights are not quantised');
}
