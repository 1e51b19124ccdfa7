/**
 * Warming the start up (section 4.4 of the paper; src/warmup_lora.py of oneal2000/PRAG): one pass over questions and
 * answers without passages, after which adapters of passages begin from a LoRA that knows how answers look.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { exists } from '../checkpoint/files.ts';
import { readSafetensors, readTensor, writeSafetensors } from '../checkpoint/safetensors.ts';
import type { Tokenizer } from '../checkpoint/tokenizer.ts';
import { throwIfCancelled, UserError } from '../protocol/errors.ts';
import type { LoraTraining } from './loraTraining.ts';
import { pragPrompt } from './prompts.ts';
import { contentKey } from './recipe.ts';
import type { TrainingSequence } from './trainingSequences.ts';

export interface WarmUpExample {
  question: string;
  answer: string;
}

export interface WarmUpProgress {
  step: number;
  steps: number;
  /** Mean loss per token; NaN for the steps of an earlier run. */
  loss: number;
}

export interface WarmUpOptions {
  tokenizer: Tokenizer;
  /** The order of the examples. */
  seed: number;
  maximumLength: number;
  /** The state is kept here while it runs, so that it can be resumed; removed at the end. */
  stateFolder: string;
  /** Steps between two saved states. */
  saveEvery?: number;
  signal?: AbortSignal | undefined;
}

const stateFile = 'state.safetensors';

/**
 * Trains on every example once, in a seeded order. Interrupted (cancelled or killed), the same call goes on from the
 * last saved state and ends with the same factors as a run in one piece.
 * @param training at the model's start; its adapter is the result
 * @throws CancelledError (the state is saved first); UserError if the saved state is of another warm-up
 */
export async function* warmUp(
  training: LoraTraining,
  examples: readonly WarmUpExample[],
  options: WarmUpOptions,
): AsyncGenerator<WarmUpProgress> {
  const { tokenizer, stateFolder, saveEvery = 200, signal } = options;
  const order = shuffled(examples, options.seed);
  const key = contentKey([order, options.maximumLength, training.adapter().id]);
  await mkdir(stateFolder, { recursive: true });
  const file = join(stateFolder, stateFile);
  const steps = order.length;
  let step = (await exists(file)) ? await readState(file, training, key) : 0;
  if (step > 0) yield { step, steps, loss: NaN };
  try {
    for (; step < steps; step++) {
      throwIfCancelled(signal);
      const loss = await training.step(warmUpSequence(tokenizer, order[step]!, options.maximumLength));
      yield { step: step + 1, steps, loss };
      if ((step + 1) % saveEvery === 0) await writeState(file, training, key, step + 1);
    }
  } catch (error) {
    await writeState(file, training, key, step);
    throw error;
  }
  await rm(file, { force: true });
}

/** The question without passages, its answer and EOS; the loss is on all of it, as the authors have it. */
export function warmUpSequence(
  tokenizer: Tokenizer,
  { question, answer }: WarmUpExample,
  maximumLength: number,
): TrainingSequence {
  const { tokenIds } = pragPrompt(tokenizer, { question });
  const finished = answer.endsWith('.') ? answer : `${answer}.`;
  const answerIds = tokenizer.encode(finished, { addSpecialTokens: false });
  const { eos } = tokenizer.specialTokens;
  const eosId = eos === undefined ? undefined : tokenizer.tokenId(eos);
  const ids = [...tokenIds, ...answerIds, ...(eosId === undefined ? [] : [eosId])];
  return { tokenIds: ids.slice(0, maximumLength), labelStart: 1 };
}

/** Fisher and Yates' shuffle with a seeded generator. */
function shuffled<Item>(items: readonly Item[], seed: number): Item[] {
  const generator = xoroshiro128plus(seed | 0);
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(((generator.next() >>> 0) / 2 ** 32) * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

async function writeState(file: string, training: LoraTraining, key: string, step: number): Promise<void> {
  const { factors, optimizer } = training;
  const tensors = [...factors].flatMap(([name, factor]) => {
    const moments = optimizer.moments.get(name);
    const parts = { factor, ...(moments && { first: moments.first, second: moments.second }) };
    return Object.entries(parts).map(([part, data]) => ({
      name: `${part}.${name}`,
      dtype: 'F32' as const,
      shape: [data.length],
      data,
    }));
  });
  await writeSafetensors(file, tensors, { key, step: String(step) });
}

/** Puts a saved state into the training; returns how many steps it has seen. */
async function readState(file: string, training: LoraTraining, key: string): Promise<number> {
  const { tensors, metadata } = await readSafetensors(file);
  if (metadata['key'] !== key) {
    throw new UserError(
      `${file} is the state of a warm-up with other data or settings: remove it to start anew, or repeat the ` +
        'command that began it.',
    );
  }
  const { factors, optimizer } = training;
  for (const [name, factor] of factors) {
    factor.set(await readTensor(tensors.get(`factor.${name}`)!));
    const first = tensors.get(`first.${name}`);
    const second = tensors.get(`second.${name}`);
    if (first && second) {
      optimizer.moments.set(name, { first: await readTensor(first), second: await readTensor(second) });
    }
  }
  optimizer.step = Number(metadata['step']);
  return optimizer.step;
}
