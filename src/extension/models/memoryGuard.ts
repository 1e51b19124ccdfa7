/** Warns of models that this machine cannot hold, before they are downloaded or loaded. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as vscode from 'vscode';
import { machineMemory, shapeOfConfig } from '../../hub/memory.ts';
import type { OverviewRow } from '../../hub/overview.ts';
import type { ModelShape } from '../../hub/types.ts';
import type { ModelInfo, ModelSelection } from '../../protocol/comparison.ts';
import type { LocalModel } from '../../protocol/localModels.ts';
import { CancelledError } from '../../protocol/errors.ts';
import { setting } from '../settings.ts';
import { fileMemoryWarning, memoryWarning } from './memoryWarning.ts';
import { showWarning } from '../show.ts';

export class MemoryGuard {
  /** Told once in this window; asking again would be nagging. */
  readonly #accepted = new Set<string>();

  /**
   * Asks about a row of the list that was picked.
   * @returns false: the user wants another one
   */
  async confirmPick({ entry, state, memory }: OverviewRow): Promise<boolean> {
    const anyway = state === 'downloaded' ? vscode.l10n.t('Load Anyway') : vscode.l10n.t('Download Anyway');
    const selection = { model: entry.id, device: setting('device'), precision: setting('precision') };
    if (memory?.native !== undefined) {
      return this.#confirm(selection, fileMemoryWarning(entry.title, memory.native, machineMemory()), anyway);
    }
    if (!('shape' in entry) || entry.shape === undefined) return true;
    const warning = memoryWarning(entry.title, entry.shape, selection, machineMemory());
    return this.#confirm(selection, warning, anyway);
  }

  /**
   * Asks about a model of another program that was picked.
   * @returns false: the user wants another one
   */
  async confirmLocal({ name, memoryBytes }: LocalModel): Promise<boolean> {
    const selection = { model: name, device: setting('device'), precision: setting('precision') };
    const warning = memoryBytes === null ? null : fileMemoryWarning(name, memoryBytes, machineMemory());
    return this.#confirm(selection, warning, vscode.l10n.t('Load Anyway'));
  }

  /**
   * Asks before a model is loaded.
   * @throws CancelledError if it shall not be; the picker of models opens then
   */
  async beforeLoading(selection: ModelSelection, models: readonly ModelInfo[]): Promise<void> {
    const warning = await this.warningFor(selection, models);
    if (await this.#confirm(selection, warning, vscode.l10n.t('Load Anyway'))) return;
    void vscode.commands.executeCommand('springRag.selectModel');
    throw new CancelledError();
  }

  /** What would be asked before loading; null: nothing. */
  async warningFor(selection: ModelSelection, models: readonly ModelInfo[]): Promise<string | null> {
    const info = models.find(({ id }) => id === selection.model);
    if (info === undefined || info.problem !== undefined || this.#accepted.has(keyOf(selection))) return null;
    if (info.memory !== undefined) return fileWarning(info, info.memory, selection);
    const shape = await shapeOf(info.folder);
    return shape === undefined ? null : memoryWarning(info.name, shape, selection, machineMemory());
  }

  async #confirm(selection: ModelSelection, warning: string | null, anyway: string): Promise<boolean> {
    if (warning === null || this.#accepted.has(keyOf(selection))) return true;
    const another: vscode.MessageItem = {
      title: vscode.l10n.t('Choose Another'),
      isCloseAffordance: true,
    };
    const chosen = await showWarning<vscode.MessageItem>(
      warning,
      { modal: true },
      { title: anyway },
      another,
    );
    if (chosen?.title !== anyway) return false;
    this.#accepted.add(keyOf(selection));
    return true;
  }
}

/** Of a GGUF model: what it takes in the precision that is asked for; its own is the rule. */
function fileWarning(
  { name }: ModelInfo,
  memory: NonNullable<ModelInfo['memory']>,
  { device, precision }: ModelSelection,
): string | null {
  if (device !== 'auto' && device !== 'cpu') return null;
  const asked = (['f32', 'int8', 'int4'] as const).find((known) => known === precision);
  return fileMemoryWarning(name, memory[asked ?? 'native'], machineMemory());
}

function keyOf({ model, device, precision }: ModelSelection): string {
  return `${model} ${device} ${precision}`;
}

async function shapeOf(folder: string): Promise<ModelShape | undefined> {
  try {
    const config: unknown = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'));
    return shapeOfConfig(config as Record<string, unknown>);
  } catch {
    return undefined; // the loader says what is wrong with it
  }
}
