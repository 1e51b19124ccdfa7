/** From a checkpoint to a loaded model: chooses device and precision, prepares weights where that is needed. */
import type { ConversionProgress } from '../checkpoint/quantized/convert.ts';
import { defaultQuantizedFolder } from '../checkpoint/quantized/folders.ts';
import { plainCheckpoint } from '../checkpoint/quantized/plainCheckpoint.ts';
import { preparedWeights } from '../checkpoint/quantized/store.ts';
import type { Checkpoint } from '../checkpoint/types.ts';
import { UserError } from '../protocol/errors.ts';
import { chooseDevice, type ChosenDevice } from './device.ts';
import { choosePrecision, worthPacking } from './precision.ts';
import { distinctRopes, rotaryDim } from './rope.ts';
import { DecoderSession } from './session.ts';
import type { DecoderOptions, Device, Preparation } from './types.ts';

export interface LoadedSession {
  session: DecoderSession;
  /** Why this device and this precision. */
  reason: string;
  /** What the user should know of the model in this precision. */
  warning?: string | undefined;
}

/**
 * Loads a model.
 * @throws UserError if the device or precision asked for cannot be had, or the model cannot be loaded
 */
export async function loadSession(checkpoint: Checkpoint, options: DecoderOptions): Promise<LoadedSession> {
  const device = await deviceFor(checkpoint, options.device ?? 'auto');
  const { precision, reason } = choosePrecision(options.precision ?? 'auto', checkpoint, device);
  const common = {
    device: device.device,
    precision,
    threads: options.threads,
    plainAttention: device.webgpu?.fusedAttention === false,
    float16: (device.webgpu?.float16 ?? false) && !checkpoint.config.exceedsFloat16,
  };
  const session =
    precision === 'f32' || precision === 'f16'
      ? await DecoderSession.open(await floatWeights(checkpoint, options), {
          ...common,
          packWeights: device.device === 'cpu' && worthPacking(checkpoint, precision),
        })
      : await DecoderSession.open(checkpoint, {
          ...common,
          prepared: await finish(
            preparedWeights(checkpoint, precision, rootOf(options), options.signal),
            options,
          ),
        });
  const part = checkpoint.config.textPartOnly ? '; only the text part is loaded: images are not read' : '';
  const head = checkpoint.ownHead
    ? "; the files' own head is used, though config.json ties it to the embeddings"
    : '';
  return { session, reason: `${device.device}: ${device.reason}; ${precision}: ${reason}${part}${head}` };
}

/**
 * The checkpoint itself, or the one of floats that is made of a quantised one: what training runs.
 * @throws UserError if it cannot be made or written, CancelledError when the signal fires
 */
export async function floatWeights(checkpoint: Checkpoint, options: Preparation): Promise<Checkpoint> {
  return finish(plainCheckpoint(checkpoint, rootOf(options), options.signal), options);
}

function rootOf({ quantizedFolder }: Preparation): string {
  return quantizedFolder ?? defaultQuantizedFolder();
}

async function finish<Result>(
  conversion: AsyncGenerator<ConversionProgress, Result>,
  { onConversion }: Preparation,
): Promise<Result> {
  for (;;) {
    const step = await conversion.next();
    if (step.done) return step.value;
    onConversion?.(step.value);
  }
}

/** The runtime's fused attention on a GPU takes heads and rotations of 16, 32, 48… values only; the CPU any. */
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
