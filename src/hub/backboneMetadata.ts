/** What training writes into a file of virtual tokens, so that it is known again with its model (see fit.ts). */
import { basename } from 'node:path';
import { openCheckpoint } from '../checkpoint/checkpoint.ts';
import { weightsFingerprint } from '../checkpoint/weightsFingerprint.ts';
import type { Checkpoint } from '../checkpoint/types.ts';
import { repositoryOfFolder, type ModelFacts } from './fit.ts';

/**
 * `backbone`: a repository or the name given, never where the model lies on this machine; `backboneFingerprint`: of its
 * weights.
 * @param model as the user named it
 * @param folder the folder or GGUF file that it is
 * @throws UserError if its files cannot be read
 */
export async function backboneMetadata(
  model: string,
  folder: string,
): Promise<{ backbone: string; backboneFingerprint: string }> {
  return {
    backbone: repositoryOfFolder(folder)?.repository ?? basename(model),
    backboneFingerprint: await weightsFingerprint(await openCheckpoint(folder)),
  };
}

/**
 * What decides which files fit a model.
 * @throws UserError if its files cannot be read
 */
export async function modelFacts(
  name: string,
  folder: string,
  checkpoint: Checkpoint,
): Promise<Required<ModelFacts>> {
  const { hiddenSize } = checkpoint.config;
  return { hiddenSize, name, folder, weightsFingerprint: await weightsFingerprint(checkpoint) };
}
