/** Ending a run before its last step: its best rows so far become the file. */
import { rm } from 'node:fs/promises';
import { exists } from '../../checkpoint/files.ts';
import { readSafetensors, readTensor } from '../../checkpoint/safetensors.ts';
import { writeVirtualTokens } from '../../checkpoint/virtualTokens.ts';
import { statePath } from './trainer.ts';

/**
 * Writes the best rows of an interrupted run, or the last ones if nothing was validated, and removes its state.
 * @param path the virtual tokens that the run was to write
 * @returns whether there were rows to write
 */
export async function finishTraining(
  path: string,
  metadata: Readonly<Record<string, string>>,
): Promise<boolean> {
  const state = statePath(path);
  if (!(await exists(state))) return false;
  const { tensors, metadata: saved } = await readSafetensors(state);
  const tensor = tensors.get('bestRows') ?? tensors.get('rows');
  if (!tensor) return false;
  const progress = JSON.parse(saved['progress'] ?? '{}') as { step?: number; best?: { step: number } };
  const steps = String(progress.best?.step ?? progress.step ?? 0);
  await writeVirtualTokens(path, await readTensor(tensor), tensor.shape[1]!, { ...metadata, steps });
  await rm(state, { force: true });
  return true;
}
