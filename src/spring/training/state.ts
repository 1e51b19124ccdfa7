/** What a run needs to go on after it was interrupted, in one file that is replaced as a whole. */
import { exists } from '../../checkpoint/files.ts';
import { readSafetensors, readTensor, writeSafetensors } from '../../checkpoint/safetensors.ts';
import { UserError } from '../../protocol/errors.ts';

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
type Progress = Pick<TrainingState, 'step' | 'validatedStep' | 'validationsWithoutGain'> & {
  best?: { step: number; loss: number };
};

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
      progress: JSON.stringify({ ...counters, best: best && { step: best.step, loss: best.loss } }),
    },
  );
}

/**
 * The saved state, undefined if there is none.
 * @throws UserError if it belongs to a run with other settings, data or model
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
  const { best, ...counters } = JSON.parse(metadata['progress'] ?? '{}') as Progress;
  return {
    ...counters,
    best: best && { ...best, rows: await tensor('bestRows') },
    rows: await tensor('rows'),
    firstMoments: await tensor('firstMoments'),
    secondMoments: await tensor('secondMoments'),
  };
}
