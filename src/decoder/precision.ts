/** Which precision a model is run in, and why. */
import { linearParameters } from '../checkpoint/layers.ts';
import { weightBytes, type WeightPrecision } from '../checkpoint/memory.ts';
import { isQuantized } from '../checkpoint/quantized/recipe.ts';
import type { Checkpoint } from '../checkpoint/types.ts';
import { UserError } from '../protocol/errors.ts';
import type { ChosenDevice } from './device.ts';
import type { Precision } from './types.ts';

export interface ChosenPrecision {
  precision: Precision;
  reason: string;
}

const gigabyte = 1024 ** 3;
/** Models up to this size in float32 run as they are on the CPU: exact, and fast enough. */
const largestFloat32OnCpu = gigabyte;
/** On a GPU, whose memory cannot be asked for: small models stay exact, up to the second size float16 is taken. */
const largestFloat32OnGpu = gigabyte / 4;
const largestFloat16OnGpu = 4 * gigabyte;
/** Share of the free memory that weights may take; the rest is for keys and values, and for other programs. */
const memoryShare = 0.7;
/** Models with fewer parameters lose too much in int4 to be run in it unasked (quantizationLoss.ts). */
export const smallModel = 1e9;
/** Share of the free memory that packed float32 weights may take. */
const packedShare = 0.25;

/**
 * The precision to use on a device.
 * @param availableBytes free memory of the machine
 * @throws UserError if the precision asked for does not exist on the device
 */
export function choosePrecision(
  wanted: Precision | 'auto',
  checkpoint: Checkpoint,
  { device, webgpu }: ChosenDevice,
  availableBytes: number = process.availableMemory(),
): ChosenPrecision {
  const quantized = isQuantized(checkpoint);
  if ((wanted === 'native' || wanted === 'exact') && !quantized) {
    throw new UserError(
      `The precision ${wanted} is for models whose weights are quantised, those of ${checkpoint.path} are not: ` +
        'use f32, f16, int8, int4 or auto.',
    );
  }
  if (wanted === 'f16' && device === 'cpu') {
    throw new UserError('The precision f16 needs a GPU: on the CPU use f32, int8 or int4 (or auto).');
  }
  const { exceedsFloat16, architecture } = checkpoint.config;
  if (wanted === 'f16' && exceedsFloat16) {
    throw new UserError(
      `The hidden states of a ${architecture} grow beyond what float16 can hold: use f32, int8, int4 or auto.`,
    );
  }
  if (wanted === 'f16' && webgpu?.float16 === false) {
    throw new UserError('This WebGPU adapter does not compute in float16: use f32, int8, int4 or auto.');
  }
  if (wanted !== 'auto') return { precision: wanted, reason: 'asked for' };
  if (quantized) return { precision: 'native', reason: "the model's own quantised weights" };
  const { config } = checkpoint;
  const size = (precision: WeightPrecision): string => gigabytes(weightBytes(config, precision));
  const isAtMost = (precision: WeightPrecision, bytes: number): boolean =>
    weightBytes(config, precision) <= bytes;
  if (device !== 'cpu') {
    if (isAtMost('f32', largestFloat32OnGpu)) {
      return { precision: 'f32', reason: `the model is small (${size('f32')} in float32)` };
    }
    if (exceedsFloat16) {
      return isAtMost('f32', largestFloat16OnGpu)
        ? { precision: 'f32', reason: `its hidden states grow beyond float16; ${size('f32')} in float32` }
        : {
            precision: 'int4',
            reason: `${size('f32')} in float32 may be more than the GPU's memory, ${size('int4')} in int4`,
          };
    }
    if (webgpu?.float16 === false || device !== 'webgpu') {
      return { precision: 'f32', reason: 'the device was not seen to compute in float16' };
    }
    if (isAtMost('f16', largestFloat16OnGpu)) {
      return { precision: 'f16', reason: `${size('f16')} in float16 on a GPU` };
    }
    return {
      precision: 'int4',
      reason: `${size('f16')} in float16 may be more than the GPU's memory, ${size('int4')} in int4`,
    };
  }
  const budget = memoryShare * availableBytes;
  const free = `${gigabytes(availableBytes)} of memory are free`;
  if (isAtMost('f32', Math.min(largestFloat32OnCpu, budget))) {
    return { precision: 'f32', reason: `the model is small (${size('f32')} in float32)` };
  }
  const isSmall = linearParameters(config) < smallModel;
  if (isSmall || isAtMost('int8', budget)) {
    return { precision: 'int8', reason: `${size('int8')} instead of ${size('f32')}, and faster; ${free}` };
  }
  return { precision: 'int4', reason: `${size('int4')} in int4, but ${size('int8')} in int8; ${free}` };
}

/** Whether float32 weights on the CPU are packed for speed: if that costs little of the free memory. */
export function worthPacking(
  checkpoint: Checkpoint,
  precision: Precision,
  availableBytes: number = process.availableMemory(),
): boolean {
  const bytes = weightBytes(checkpoint.config, 'f32');
  return precision === 'f32' && bytes <= Math.min(largestFloat32OnCpu, packedShare * availableBytes);
}

function gigabytes(bytes: number): string {
  return `${(bytes / gigabyte).toFixed(bytes < gigabyte ? 2 : 1)} GB`;
}
