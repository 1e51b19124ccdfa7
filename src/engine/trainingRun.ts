/** Training the run of a folder (protocol/trainingRun.ts). */
import { basename, join } from 'node:path';
import { readSmallFile } from '../checkpoint/files.ts';
import { Decoder } from '../decoder/decoder.ts';
import { exactMatch } from '../evaluation/metrics.ts';
import { backboneMetadata } from '../hub/backboneMetadata.ts';
import { tryLock } from '../hub/lock.ts';
import { resolveModel } from '../hub/resolve.ts';
import { UserError } from '../protocol/errors.ts';
import type { TrainingEvent } from '../protocol/training.ts';
import { mostValidationExamples, parseRun, runFiles, type TrainingRunFile } from '../protocol/trainingRun.ts';
import { readTrainingData } from '../spring/training/data.ts';
import { finishTraining } from '../spring/training/finish.ts';
import { holdOut } from '../spring/training/holdOut.ts';
import { logged } from '../spring/training/log.ts';
import { promptFormMetadata } from '../spring/prompts.ts';
import { trainVirtualTokens } from '../spring/training/trainer.ts';
import { whileOpening } from './openFiles.ts';

const mostRunBytes = 1024 ** 2;

/**
 * Trains, or goes on from the state that an earlier call left. Every event is in the folder's log, too.
 * @throws UserError for a folder, data or model that cannot be used, or if another process trains this run
 * @throws CancelledError soon after the signal fires; the state is saved
 */
export async function* trainRun(folder: string, signal: AbortSignal): AsyncGenerator<TrainingEvent> {
  const run = await readRun(folder);
  const release = await tryLock(join(folder, runFiles.lock));
  if (!release) {
    throw new UserError('This run is being trained in another window: pause it there to go on here.');
  }
  try {
    const { items: all, sha256 } = await readTrainingData(join(folder, runFiles.data));
    const { model, settings, tokenFile, validationShare } = run;
    const split = holdOut(all, validationShare, settings.seed, mostValidationExamples);
    const modelFolder = await resolveModel(model);
    const decoder = await whileOpening(modelFolder, () =>
      Decoder.open(modelFolder, { device: 'cpu', precision: 'f32', signal }),
    );
    try {
      const metadata = { ...(await backboneMetadata(model, modelFolder)), dataSha256: sha256 };
      const events = trainVirtualTokens(
        {
          ...{ decoder, settings, metadata, path: tokenFile, resume: true, scoreAnswer: exactMatch },
          items: split.items,
          validationItems: split.validationItems,
          initialisation: { from: 'text' },
        },
        signal,
      );
      yield* logged(events, join(folder, runFiles.events));
    } finally {
      await decoder.dispose();
    }
  } finally {
    await release();
  }
}

/** Ends a run; the path of its best rows so far, null if there are none. */
export async function finishRun(folder: string): Promise<string | null> {
  const { model, settings, tokenFile } = await readRun(folder);
  // The model may be gone meanwhile; the rows are written all the same.
  const backbone = await resolveModel(model)
    .then((modelFolder) => backboneMetadata(model, modelFolder))
    .catch(() => ({ backbone: basename(model) }));
  const metadata = { ...backbone, training: JSON.stringify(settings), ...promptFormMetadata(settings) };
  return (await finishTraining(tokenFile, metadata)) ? tokenFile : null;
}

async function readRun(folder: string): Promise<TrainingRunFile> {
  const file = join(folder, runFiles.run);
  return parseRun(await readSmallFile(file, mostRunBytes), file);
}
