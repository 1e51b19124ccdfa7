/** From a checkpoint to a loaded model: chooses device and precision, makes quantised weights where they are needed. */
import {
  defaultQuantizedFolder,
  quantizedWeights,
  type QuantizedWeights,
} from '../checkpoint/quantized/store.ts';
import type { Checkpoint } from '../checkpoint/types.ts';
import { UserError } from '../protocol/errors.ts';
import { chooseDevice, type ChosenDevice } from './device.ts';
import { choosePrecision, worthPacking } from './precision.ts';
import { distinctRopes, rotaryDim } from './rope.ts';
import { DecoderSession } from './session.ts';
import type { DecoderOptions, Device } from './types.ts';

export interface LoadedSession {
  session: DecoderSession;
  /** Why this device and this precision. */
  reason: string;
}

/**
 * Loads a model.
 * @throws UserError if the device or precision asked for cannot be had, or the model cannot be loaded
 */
export async function loadSession(checkpoint: Checkpoint, options: DecoderOptions): Promise<LoadedSession> {
  const device = await deviceFor(checkpoint, options.device ?? 'auto');
  const { precision, reason } = choosePrecision(options.precision ?? 'auto', checkpoint, device);
  const session = await DecoderSession.open(checkpoint, {
    device: device.device,
    precision,
    threads: options.threads,
    plainAttention: device.webgpu?.fusedAttention === false,
    float16: (device.webgpu?.float16 ?? false) && !checkpoint.config.exceedsFloat16,
    packWeights: device.device === 'cpu' && worthPacking(checkpoint, precision),
    ...(precision === 'int8' || precision === 'int4'
      ? { quantized: await makeOrFind(checkpoint, precision, options) }
      : {}),
  });
  const part = checkpoint.config.textPartOnly ? '; only the text part is loaded: images are not read' : '';
  return { session, reason: `${device.device}: ${device.reason}; ${precision}: ${reason}${part}` };
}

/** The runtime's fused attention, which a GPU is for, takes heads and rotations of 16, 32, 48… values only; the CPU any. */
async function deviceFor({ path, config }: Checkpoint, wanted: Device | 'auto'): Promise<ChosenDevice> {
  const device = await chooseDevice(wanted);
  if (device.device !== 'webgpu') return device;
  const sizes = [config.headDim, ...distinctRopes(config).map((rope) => rotaryDim(config, rope))];
  const odd = sizes.find((size) => size % 16 !== 0);
  if (odd === undefined) return device;
  const what =
    odd === config.headDim
      ? `attention heads of ${odd} values`
      : `${odd} rotated values in each attention head`;
  if (wanted === 'auto') return { device: 'cpu', reason: `${what} are for the CPU only` };
  throw new UserError(
    `The model in ${path} has ${what}; on ${wanted} only multiples of 16 can be run: use cpu or auto.`,
  );
}

async function makeOrFind(
  checkpoint: Checkpoint,
  precision: 'int8' | 'int4',
  { quantizedFolder, onConversion, signal }: DecoderOptions,
): Promise<QuantizedWeights> {
  const root = quantizedFolder ?? defaultQuantizedFolder();
  const conversion = quantizedWeights(checkpoint, precision, root, signal);
  for (;;) {
    const step = await conversion.next();
    if (step.done) return step.value;
    onConversion?.(step.value);
  }
}
