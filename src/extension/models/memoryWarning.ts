/** Whether a model fits this machine's memory, before it is loaded. */
import { formatBytes } from '../../hub/format.ts';
import {
  bestPrecision,
  estimateMemory,
  type MachineMemory,
  memoryFit,
  type MemoryPrecision,
} from '../../hub/memory.ts';
import type { ModelShape } from '../../hub/types.ts';
import type { DeviceChoice, PrecisionChoice } from '../../protocol/comparison.ts';

/** At most as much as a precision whose memory is known from the model's shape alone. */
const likened: Record<Exclude<PrecisionChoice, 'auto'>, MemoryPrecision> = {
  ...{ f32: 'f32', f16: 'f16', int8: 'int8', int4: 'int4' },
  native: 'int8',
  exact: 'f32',
};

/** The same for a model in a file, which is known to need so many bytes. */
export function fileMemoryWarning(name: string, bytes: number, memory: MachineMemory): string | null {
  if (memoryFit(bytes, memory) !== 'too-large') return null;
  return `${name} needs about ${formatBytes(bytes)} of memory, and this machine has ${formatBytes(memory.total)}. Loading it may make the machine unusable.`;
}

/**
 * What to warn of, in one sentence; null: it can be loaded. Of a GPU that is asked for by name nothing is said: its
 * memory cannot be asked for.
 */
export function memoryWarning(
  name: string,
  shape: ModelShape,
  use: { device: DeviceChoice; precision: PrecisionChoice },
  memory: MachineMemory,
): string | null {
  if (use.device !== 'auto' && use.device !== 'cpu') return null;
  const best = bestPrecision(shape, 'cpu', memory);
  const bytesIn = (precision: MemoryPrecision): number =>
    estimateMemory(shape, { precision, device: 'cpu' }).total;
  const machine = `this machine has ${formatBytes(memory.total)}`;
  if (best === undefined) {
    return `${name} needs about ${formatBytes(bytesIn('int4'))} of memory even in int4, and ${machine}. Loading it may make the machine unusable.`;
  }
  if (use.precision === 'auto') return null;
  const bytes = bytesIn(likened[use.precision]);
  if (memoryFit(bytes, memory) !== 'too-large') return null;
  return `${name} in ${use.precision} needs about ${formatBytes(bytes)} of memory, and ${machine}. The precision ${best.precision} would need ${formatBytes(best.bytes)}.`;
}
