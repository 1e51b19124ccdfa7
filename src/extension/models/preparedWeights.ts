/** Prepared weights: made from a model when it is first run in a form that its files do not have, kept, and removable. */
import { basename, dirname } from 'node:path';
import * as vscode from 'vscode';
import { keptOf, type KeptWeights, listKept, removeKept } from '../../checkpoint/quantized/kept.ts';
import { defaultQuantizedFolder } from '../../checkpoint/quantized/folders.ts';
import { formatBytes } from '../../hub/format.ts';
import { isGgufName, stemOf } from '../../hub/ggufNames.ts';
import type { ModelInfo } from '../../protocol/comparison.ts';
import type { ModelParts } from './parts.ts';
import { pickMany, showInformation } from '../show.ts';

/** Those of the model in a folder. */
export function preparedOf(modelFolder: string): Promise<KeptWeights[]> {
  return keptOf(modelFolder, defaultQuantizedFolder());
}

export function bytesOf(weights: readonly KeptWeights[]): number {
  return weights.reduce((sum, { bytes }) => sum + bytes, 0);
}

/**
 * Asks which prepared weights to remove, all ticked whose model is gone; those of one model if its folder is given.
 * @returns whether any were
 */
export async function removePrepared(
  { engines, hub, library }: Pick<ModelParts, 'engines' | 'hub' | 'library'>,
  modelFolder?: string,
): Promise<boolean> {
  const kept =
    modelFolder === undefined ? await listKept(defaultQuantizedFolder()) : await preparedOf(modelFolder);
  if (kept.length === 0) {
    void showInformation(
      vscode.l10n.t(
        'There are no prepared weights: they are made when a quantised model is first run, or another in int8 or int4.',
      ),
    );
    return false;
  }
  const picked = await pickMany(
    kept.map((weights) => ({
      label: modelNameOf(weights, library.models),
      description: `${weights.precision}, ${formatBytes(weights.bytes)}`,
      detail: weights.hasSources
        ? weights.folder
        : vscode.l10n.t('Its model is not on this machine any more.'),
      picked: modelFolder !== undefined || !weights.hasSources,
      weights,
    })),
    {
      title: vscode.l10n.t('Remove prepared weights (they are made again when they are needed)'),
    },
  );
  if (!picked || picked.length === 0) return false;
  const chosen = picked.map(({ weights }) => weights);
  // A file that is in use cannot be removed on every system.
  if (engines.inference.state === 'running') await engines.inference.request('unload', {});
  await removeKept(chosen);
  hub.changed();
  void showInformation(
    vscode.l10n.t('Prepared weights were removed: {0} freed.', formatBytes(bytesOf(chosen))),
  );
  return true;
}

/** The name of a model that the window knows, `owner/name` in the Hub's cache, else that of the GGUF file or folder. */
function modelNameOf({ sources, folder }: KeptWeights, models: readonly ModelInfo[]): string {
  const [source] = sources;
  if (source === undefined) return basename(folder);
  const known = models.find((info) => info.folder === source);
  if (known) return known.name;
  const cached = /[\\/]models--([^\\/]+)[\\/]/.exec(source)?.[1];
  if (cached !== undefined) return cached.replace('--', '/');
  return isGgufName(source) ? stemOf(basename(source)) : basename(dirname(source));
}
