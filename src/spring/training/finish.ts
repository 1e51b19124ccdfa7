/** Ending a run before its last step: its best rows so far become the file. */
import { rm } from 'node:fs/promises';
import { exists } from '../../checkpoint/files.ts';
import { readSafetensors } from '../../checkpoint/safetensors.ts';
import { writeVirtualTokens } from '../../checkpoint/virtualTokens.ts';
import { readState } from './state.ts';
import { statePath } from './trainer.ts';

/**
 * Writes the best rows of an interrupted run, or the last ones if nothing was validated, and removes its state.
 * @param path the virtual tokens that the run was to write
 * @returns whether there were rows to write
 * @throws UserError if the state is damaged
 */
export async function finishTraining(
  path: string,
  metadata: Readonly<Record<string, string>>,
): Promise<boolean> {
  const state = statePath(path);
  if (!(await exists(state))) return false;
  const { tensors, metadata: saved } = await readSafetensors(state);
  const saving = await readState(state, saved['fingerprint'] ?? '');
  const width = tensors.get('rows')?.shape[1];
  if (!saving || width === undefined) return false;
  const steps = String(saving.best?.step ?? saving.step);
  await writeVirtualTokens(path, saving.best?.rows ?? saving.rows, width, { ...metadata, steps });
  await rm(state, { force: true });
  return true;
}
