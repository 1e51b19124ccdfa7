/** How adapters are trained, and what identifies the model they are for. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { readExactly } from '../checkpoint/files.ts';
import type { Checkpoint, TensorLocation } from '../checkpoint/types.ts';
import { UserError } from '../protocol/errors.ts';
import type { LoraSettings } from './initialAdapter.ts';
import type { OptimizerSettings } from './loraTraining.ts';
import type { SequenceOptions } from './trainingSequences.ts';

export interface EncodingRecipe extends LoraSettings, OptimizerSettings, SequenceOptions {
  epochs: number;
}

/** The authors' settings (configs and src/encode.py of oneal2000/PRAG); torch's AdamW decays weights by 0.01. */
export const authorsRecipe: EncodingRecipe = {
  rank: 2,
  loraAlpha: 32,
  learningRate: 3e-4,
  weightDecay: 0.01,
  epochs: 1,
  labels: 'all',
  maximumLength: 3000,
  seed: 42,
};

/**
 * A recipe with some settings changed.
 * @throws UserError for a value that makes no sense
 */
export function makeRecipe(changes: Partial<EncodingRecipe>): EncodingRecipe {
  const given = Object.fromEntries(
    Object.entries(changes as Record<string, unknown>).filter(([, value]) => value !== undefined),
  );
  const recipe: EncodingRecipe = { ...authorsRecipe, ...given };
  for (const name of ['rank', 'loraAlpha', 'epochs', 'learningRate'] as const) {
    if (!(recipe[name] > 0)) throw new UserError(`The recipe's ${name} must be more than 0.`);
  }
  if (!Number.isInteger(recipe.rank) || recipe.rank > 1024) {
    throw new UserError('The rank of the adapters must be a whole number up to 1024.');
  }
  return recipe;
}

/** A hash of anything that can be written as JSON, in hexadecimal. */
export function contentKey(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 32);
}

/** Bytes of every tensor that are looked at. */
const sampleBytes = 1024;

/**
 * Identifies a model by its content: the shape of every tensor and a sample of its bytes. Two fine-tunes of one model
 * have the same config and the same sizes, but not the same bytes; hashing gigabytes would take too long.
 */
export async function modelKey(checkpoint: Checkpoint): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(checkpoint.config));
  const byFile = Map.groupBy(checkpoint.tensors.values(), ({ file }) => file);
  const samples: { tensor: TensorLocation; bytes: Uint8Array }[] = [];
  for (const [file, tensors] of byFile) {
    const handle = await open(file, 'r');
    try {
      for (const tensor of tensors) {
        const length = Math.min(sampleBytes, tensor.length);
        // from the middle: embeddings of the first tokens are often untouched by training
        const start = tensor.offset + Math.floor((tensor.length - length) / 2);
        samples.push({ tensor, bytes: await readExactly(handle, file, start, length) });
      }
    } finally {
      await handle.close();
    }
  }
  samples.sort((a, b) => (a.tensor.name < b.tensor.name ? -1 : 1));
  for (const { tensor, bytes } of samples) {
    hash.update(`${tensor.name} ${tensor.dtype} ${tensor.shape.join()}\n`).update(bytes);
  }
  return hash.digest('hex').slice(0, 32);
}
