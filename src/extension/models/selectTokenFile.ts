/** Select Embedding File: those of the model first; downloads what is not here. */
import { join } from 'node:path';
import * as vscode from 'vscode';
import { repositoryOf } from '../../hub/catalogue.ts';
import { formatBytes } from '../../hub/format.ts';
import { requestOf } from '../../hub/request.ts';
import type { CatalogueEntry } from '../../hub/types.ts';
import type { PanelState } from '../../protocol/panel.ts';
import { UserError } from '../../protocol/errors.ts';
import { modelOf } from '../panel/comparisonInputs.ts';
import type { ModelParts } from './parts.ts';
import { removeRow } from './removal.ts';
import { pickFromSections } from './sectionPick.ts';
import { askForRepository, lookAtRepository, requireTrust } from './selectModel.ts';
import { tokenFileSections } from './tokenFileItems.ts';
import { pickOne, showWarning } from '../show.ts';

/** The path of an embedding file that is on this machine now; undefined: the user chose none. */
export async function chooseTokenFile(parts: ModelParts, state: PanelState): Promise<string | undefined> {
  const { hub, library } = parts;
  for (;;) {
    const model = modelOf(library.models, state.inputs);
    const title = model
      ? vscode.l10n.t('Embedding file (virtual tokens) for {0}', model.name)
      : vscode.l10n.t('Embedding file (virtual tokens)');
    const rows = hub.rows();
    const picked = await pickFromSections(
      title,
      vscode.l10n.t('A file, or a repository that has one'),
      async () => {
        await library.refresh();
        return tokenFileSections({
          rows: await rows,
          known: library.tokenFiles,
          model,
          current: state.inputs.tokenFile,
          catalogue: hub.catalogue,
        });
      },
    );
    if (!picked) return undefined;
    const { choice, remove } = picked;
    if (remove) {
      const path = choice.kind === 'here' ? choice.path : undefined;
      const row = (await rows).find((candidate) => candidate.path === path);
      if (row) await removeRow(parts, row);
      continue;
    }
    switch (choice.kind) {
      case 'here':
        return choice.path;
      case 'download':
        return downloadTokenFile(parts, choice.row.entry);
      case 'misfit': {
        const selectModel = vscode.l10n.t('Select Model');
        const chosen = await showWarning(choice.message, selectModel);
        if (chosen === selectModel) void vscode.commands.executeCommand('springRag.selectModel');
        return undefined;
      }
      case 'repository':
        return fromRepository(parts);
      case 'browse': {
        const files = await vscode.window.showOpenDialog({
          title: vscode.l10n.t('Embedding file'),
          filters: { [vscode.l10n.t('Embedding files')]: ['pt', 'bin', 'safetensors'] },
        });
        return files?.[0]?.fsPath;
      }
    }
  }
}

/** Downloads an entry of the list; its path, or undefined if that was given up. */
export async function downloadTokenFile(
  { hub, downloads, library }: ModelParts,
  entry: CatalogueEntry,
): Promise<string | undefined> {
  requireTrust();
  const request = requestOf(entry.id, hub.catalogue);
  const result = await downloads.get({ ...request, name: entry.title });
  if (!result) return undefined;
  await library.refresh();
  return join(result.folder, request.file ?? '');
}

/** Asks for a repository, then for one of its files. */
async function fromRepository({ hub, downloads }: ModelParts): Promise<string | undefined> {
  requireTrust();
  const typed = await askForRepository(
    vscode.l10n.t('Hub repository with an embedding file'),
    vscode.l10n.t('A repository with a .pt, .bin or .safetensors file of virtual tokens. owner/name'),
  );
  if (typed === undefined) return undefined;
  const { repository = typed, revision = 'main' } = repositoryOf(typed);
  const remote = await lookAtRepository(hub, repository, revision);
  const files = remote.files.filter(({ path }) => /\.(pt|bin|safetensors)$/.test(path));
  if (files.length === 0) {
    throw new UserError(vscode.l10n.t('{0} has no .pt, .bin or .safetensors file.', repository));
  }
  const picked = await pickOne(
    files.map(({ path, size }) => ({ label: path, description: formatBytes(size) })),
    { title: repository, placeHolder: vscode.l10n.t('File of virtual tokens') },
  );
  if (!picked) return undefined;
  const file = picked.label;
  const result = await downloads.get({ repository, revision, kind: 'token-file', file, name: file });
  return result && join(result.folder, file);
}
