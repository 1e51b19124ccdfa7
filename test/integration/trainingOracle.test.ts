import assert from 'node:assert/strict';
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts';
import { EmbeddingTable } from '../../src/checkpoint/embeddingTable.ts';
import { readSafetensors, readTensor } from '../../src/checkpoint/safetensors.ts';
import type { Checkpoint } from '../../src/checkpoint/types.ts';
import { AdamW } from '../../src/decoder/adamW.ts';
import {
  TrainingSession,
  type TrainingExample,
  type TrainingResult,
} from '../../src/decoder/trainingSession.ts';
import { oracleCheckpoints, readGolden, type Golden, type OracleCheckpoint } from '../support/oracle.ts';
import {
  assertClose,
  assertTensor,
  checkSpring,
  prefill,
  springExample,
  springTokens as virtualTokens,
} from '../support/springTraining.ts';

describe('training against the oracle', () => {
  for (const oracle of oracleCheckpoints()) {
    describe(oracle.name, () => {
      const golden = readGolden(oracle.name);
      let checkpoint: Checkpoint;
      let embeddings: EmbeddingTable;
      before(async () => {
        checkpoint = await openCheckpoint(oracle.folder);
        embeddings = await EmbeddingTable.open(checkpoint);
      });
      after(() => embeddings[Symbol.asyncDispose]());

      it('SPRING: loss, gradient and tokens after three steps, differentiating the tail', async () => {
        const past = await prefill(checkpoint, await embeddings.rows(golden.prefix_ids));
        await checkSpring(golden, checkpoint, embeddings, { past: true }, past);
      });

      it('SPRING: the same by differentiating the whole sequence', async () => {
        await checkSpring(golden, checkpoint, embeddings, { past: false });
      });

      it('SPRING: examples of different lengths in one batch', async () => {
        await checkBatch(golden, checkpoint, embeddings);
      });

      it('gradients with respect to weights: the change of the loss along them', async () => {
        await checkWeights(golden, checkpoint, embeddings);
      });

      it('PRAG: gradients and parameters after three steps', async () => {
        await checkPrag(golden, oracle, checkpoint, embeddings);
      });
    });
  }
});

/** Two examples of different prefix and tail, padded: each gets the gradient that it gets alone. */
async function checkBatch(golden: Golden, checkpoint: Checkpoint, embeddings: EmbeddingTable): Promise<void> {
  const { hiddenSize } = embeddings;
  const session = await TrainingSession.open(checkpoint, {
    past: true,
    lora: false,
    gradients: { inputsEmbeds: true },
  });
  const rows = golden.tensor('virtual_tokens').slice(0, virtualTokens * hiddenSize);
  const whole = await springExample(
    golden,
    embeddings,
    rows,
    await prefill(checkpoint, await embeddings.rows(golden.prefix_ids)),
  );
  const shortPast = await prefill(checkpoint, await embeddings.rows(golden.prefix_ids.slice(0, 23)));
  const short: TrainingExample = {
    inputsEmbeds: whole.inputsEmbeds.slice(0, 20 * hiddenSize),
    length: 20,
    past: shortPast,
    labels: [
      { index: 13, tokenId: 5 },
      { index: 19, tokenId: 77 },
    ],
  };
  const alone: TrainingResult[] = [];
  for (const example of [whole, short]) alone.push(await session.run([example], 0.25));
  const together = await session.run([short, whole], 0.25);
  const gradient = together.gradients.get('inputs_embeds')!;
  assertClose(together.losses[0]!, alone[1]!.losses[0]!, 2e-5, 'loss of the short example');
  assertClose(together.losses[1]!, alone[0]!.losses[0]!, 2e-5, 'loss of the long example');
  const padded = whole.length * hiddenSize;
  assertTensor(
    gradient.slice(0, short.length * hiddenSize),
    alone[1]!.gradients.get('inputs_embeds')!,
    3e-5,
    'short',
  );
  assertTensor(gradient.slice(padded), alone[0]!.gradients.get('inputs_embeds')!, 3e-5, 'long');
  await session.dispose();
}

/** Moves each weight a little along its gradient: the loss must change by the gradient's squared length. */
async function checkWeights(
  golden: Golden,
  checkpoint: Checkpoint,
  embeddings: EmbeddingTable,
): Promise<void> {
  const layer = /layers\.0\.|model\.norm|lm_head/;
  const isWanted = (name: string): boolean =>
    layer.test(name) || (checkpoint.config.tieWordEmbeddings && name === 'model.embed_tokens.weight');
  const weights = [...checkpoint.tensors.keys()].filter(isWanted);
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'weights-')));
  const example = await springExample(
    golden,
    embeddings,
    golden.tensor('virtual_tokens').slice(0, 10 * embeddings.hiddenSize),
  );
  const run = async (model: Checkpoint, names: string[]): Promise<TrainingResult> => {
    const options = { past: false, lora: false, gradients: { weights: names } };
    const session = await TrainingSession.open(model, options);
    const result = await session.run([example], 1);
    await session.dispose();
    return result;
  };
  try {
    const { gradients } = await run(checkpoint, weights);
    assert.deepEqual([...gradients.keys()], weights);
    for (const [name, gradient] of gradients) {
      const location = checkpoint.tensors.get(name)!;
      const values = await readTensor(location);
      const length = Math.hypot(...gradient);
      const moved = async (distance: number): Promise<number> => {
        const file = join(folder, 'moved.bin');
        await writeFile(
          file,
          values.map((value, i) => value + (distance * gradient[i]!) / length),
        );
        const tensors = new Map(checkpoint.tensors);
        tensors.set(name, { ...location, dtype: 'F32', file, offset: 0, length: 4 * values.length });
        return (await run({ ...checkpoint, tensors }, [name])).losses[0]!;
      };
      const step = 0.008;
      const slope = ((await moved(step)) - (await moved(-step))) / (2 * step);
      assertClose(slope, length, 0.01 * length + 1e-3, name);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function checkPrag(
  golden: Golden,
  oracle: OracleCheckpoint,
  checkpoint: Checkpoint,
  embeddings: EmbeddingTable,
): Promise<void> {
  const { input_ids, labels, runs, at_adapter0 } = golden.prag_training;
  const session = await TrainingSession.open(checkpoint, {
    past: false,
    lora: true,
    gradients: { lora: true },
  });
  const inputsEmbeds = await embeddings.rows(input_ids);
  const step = async (
    labelSet: string,
    factors: Map<string, Float32Array>,
  ): Promise<TrainingResult & { loss: number }> => {
    // Hugging Face's shift: the logits at t predict label t + 1
    const wanted = labels[labelSet]!.map((tokenId, i) => ({ index: i - 1, tokenId })).filter(
      ({ index, tokenId }) => tokenId !== -100 && index >= 0,
    );
    const example = { inputsEmbeds, length: input_ids.length, labels: wanted };
    const result = await session.run([example], 1 / wanted.length, { factors, rank: 2, scaling: 16 });
    return { ...result, loss: result.losses[0]! / wanted.length };
  };
  const checkGradients = (gradients: Map<string, Float32Array>, folder: string): void => {
    for (const [name, gradient] of gradients) {
      assertTensor(gradient, golden.tensor(`prag_training/${folder}/grad/${peftKey(name)}`), 3e-5, name);
    }
  };

  const atAdapter0 = await step(at_adapter0.labels, await readFactors(join(oracle.adapters, 'adapter0')));
  assertClose(atAdapter0.loss, at_adapter0.loss, 2e-5, 'loss at adapter0');
  assert.equal(atAdapter0.gradients.size, golden.prag_training.parameter_names.length);
  checkGradients(atAdapter0.gradients, 'at_adapter0');

  for (const [run, { labels: labelSet, losses, optimizer: settings }] of Object.entries(runs)) {
    const factors = await readFactors(join(oracle.adapters, 'init'));
    const optimizer = new AdamW({ weightDecay: settings.weight_decay });
    for (const [index, expected] of losses.entries()) {
      const { loss, gradients } = await step(labelSet, factors);
      assertClose(loss, expected, 2e-5, `${run}: loss ${index}`);
      if (index === 0) checkGradients(gradients, labelSet);
      if (index < settings.steps) optimizer.update(factors, gradients, settings.lr);
    }
    for (const [name, factor] of factors) {
      assertTensor(
        factor,
        golden.tensor(`prag_training/${run}/final/${peftKey(name)}`),
        2e-5,
        `${run} ${name}`,
      );
    }
  }
  await session.dispose();
}

/** `lora_a.0.up_proj` as PEFT names it. */
function peftKey(name: string): string {
  const [factor, layer, module] = name.split('.');
  return `base_model.model.model.layers.${layer}.mlp.${module}.lora_${factor!.slice(-1).toUpperCase()}.weight`;
}

async function readFactors(folder: string): Promise<Map<string, Float32Array>> {
  const { tensors } = await readSafetensors(join(folder, 'adapter_model.safetensors'));
  const factors = new Map<string, Float32Array>();
  for (const [key, location] of tensors) {
    const [, layer, module, factor] = /layers\.(\d+)\.mlp\.(\w+)\.lora_([AB])\.weight$/.exec(key)!;
    factors.set(`lora_${factor!.toLowerCase()}.${layer}.${module}`, await readTensor(location));
  }
  return factors;
}
