/** Examples set aside for validation. */
import type { TrainingItem } from './data.ts';
import { randomStream, shuffled } from './random.ts';

/**
 * Sets a share of the examples aside, drawn by the seed.
 * @param most examples that are set aside at most
 */
export function holdOut(
  items: readonly TrainingItem[],
  share: number,
  seed: number,
  most = Infinity,
): { items: TrainingItem[]; validationItems: TrainingItem[] } {
  const held = Math.min(most, Math.round(items.length * share));
  if (held === 0) return { items: [...items], validationItems: [] };
  const order = shuffled(randomStream(seed, 'validation'), items);
  return { items: order.slice(held), validationItems: order.slice(0, held) };
}
