/** The interval of a share that was counted. */
import type { Interval } from './bootstrap.ts';

/**
 * The 95 % interval of a share that was counted in n trials (Wilson's score interval), which holds for few trials and
 * for shares near 0 and 1, too.
 */
export function shareInterval(share: number, n: number): Interval {
  if (n === 0) return [0, 1];
  const z = 1.959964;
  const center = share + z ** 2 / (2 * n);
  const width = z * Math.sqrt((share * (1 - share)) / n + z ** 2 / (4 * n ** 2));
  const scale = 1 + z ** 2 / n;
  return [Math.max(0, (center - width) / scale), Math.min(1, (center + width) / scale)];
}
