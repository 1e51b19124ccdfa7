/** What a run needs to go on after it was interrupted, in one file that is replaced as a whole. */
import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { exists } from '../../checkpoint/files.ts';
import { readSafetensors, readTensor, writeSafetensors } from '../../checkpoint/safetensors.ts';
import { UserError } from '../../protocol/errors.ts';
import { count, finite, parseValidated } from '../../protocol/schema.ts';

export interface TrainingState {
  /** Steps done. */
  step: number;
  /** (numTokens, hiddenSize) */
  rows: Float32Array;
  /** The optimizer's moments, in the shape of the rows. */
  firstMoments: Float32Array;
  secondMoments: Float32Array;
  /** The last step whose rows were validated. */
  validatedStep: number;
  best: { step: number; loss: number; rows: Float32Array } | undefined;
  /** Validations since the best one. */
  validationsWithoutGain: number;
}

/** The part that is not tensors. */
const progressSchema = v.object({
  step: count,
  validatedStep: count,
  validationsWithoutGain: count,
  best: v.optional(v.object({ step: count, loss: finite })),
});

/**
 * @param fingerprint what the run depends on: a run with another one cannot go on from this state
 */
export async function writeState(
  path: string,
  state: TrainingState,
  hiddenSize: number,
  fingerprint: string,
): Promise<void> {
  const { rows, firstMoments, secondMoments, best, ...counters } = state;
  const tensors = { rows, firstMoments, secondMoments, ...(best && { bestRows: best.rows }) };
  const progress = JSON.stringify({ ...counters, best: best && { step: best.step, loss: best.loss } });
  await writeSafetensors(
    path,
    Object.entries(tensors).map(([name, data]) => ({
      name,
      dtype: 'F32',
      shape: [data.length / hiddenSize, hiddenSize],
      data,
    })),
    {
      fingerprint,
      progress,
      checksum: checksumOf(progress, Object.values(tensors)),
    },
  );
}

/**
 * The saved state, undefined if there is none.
 * @throws UserError if it belongs to a run with other settings, data or model, or is damaged
 */
export async function readState(path: string, fingerprint: string): Promise<TrainingState | undefined> {
  if (!(await exists(path))) return undefined;
  const { tensors, metadata } = await readSafetensors(path);
  if (metadata['fingerprint'] !== fingerprint) {
    throw new UserError(
      `${path} was saved by a run with other settings, data or model, so training cannot go on from it. ` +
        'Repeat the command of that run, or start anew.',
    );
  }
  const tensor = async (name: string): Promise<Float32Array> => {
    const location = tensors.get(name);
    if (!location) throw new UserError(`${path} is damaged: it lacks "${name}". Start training anew.`);
    return readTensor(location);
  };
  const progress = metadata['progress'] ?? '';
  const { best, ...counters } = parseValidated(progressSchema, progress, `${path} is damaged: its progress`);
  const rows = await tensor('rows');
  const firstMoments = await tensor('firstMoments');
  const secondMoments = await tensor('secondMoments');
  const bestRows = best && (await tensor('bestRows'));
  const all = [rows, firstMoments, secondMoments, ...(bestRows ? [bestRows] : [])];
  if (metadata['checksum'] !== checksumOf(progress, all)) {
    throw new UserError(`${path} is damaged: its checksum differs. Start training anew.`);
  }
  return {
    ...{ ...counters, rows, firstMoments, secondMoments },
    best: best && { ...best, rows: bestRows! },
  };
}

/** Of everything that training goes on from. */
function checksumOf(progress: string, tensors: readonly Float32Array[]): string {
  const hash = createHash('sha256').update(progress);
  for (const { buffer, byteOffset, byteLength } of tensors) {
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest('hex');
}
