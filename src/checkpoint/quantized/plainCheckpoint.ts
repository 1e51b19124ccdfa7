/** A quantised checkpoint as one of floats, for everything that computes with floats: float32, float16, training. */
import { expectedTensors } from '../layers.ts';
import type { Checkpoint } from '../types.ts';
import type { ConversionProgress } from './convert.ts';
import { isQuantized } from './recipe.ts';
import { preparedWeights } from './store.ts';

/**
 * The same model with its quantised layers widened to float32, made once and kept; its float tensors stay where they
 * lie. A checkpoint of floats is itself. (Embeddings that are not the head too stay as they are: their rows are read.)
 *
 * @param root folder of all prepared weights
 * @throws UserError if they cannot be made or written, CancelledError when the signal fires
 */
export async function* plainCheckpoint(
  checkpoint: Checkpoint,
  root: string,
  signal?: AbortSignal,
): AsyncGenerator<ConversionProgress, Checkpoint> {
  if (!isQuantized(checkpoint)) return checkpoint;
  const widened = (yield* preparedWeights(checkpoint, 'f32', root, signal)).tensors;
  const config = { ...checkpoint.config };
  delete config.packing;
  const names = [...expectedTensors(config).keys()];
  const tensors = names.map((name) => [name, widened.get(name) ?? checkpoint.tensors.get(name)!] as const);
  return { ...checkpoint, config, tensors: new Map(tensors) };
}
