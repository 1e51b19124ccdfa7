/** Select Model: what is here, what can be had, another repository, a folder; downloads what is not here. */
import * as vscode from 'vscode';
import { requestOf } from '../../hub/request.ts';
import { repositoryOf } from '../../hub/resolve.ts';
import type { CatalogueEntry } from '../../hub/types.ts';
import { UserError } from '../../protocol/errors.ts';
import { modelSections } from './modelItems.ts';
import type { ModelParts } from './parts.ts';
import { removeRow } from './removal.ts';
import { pickFromSections } from './sectionPick.ts';
import { askForText } from '../show.ts';

/** The name (or folder) of a model that is on this machine now; undefined: the user chose none. */
export async function chooseModel(parts: ModelParts, current: string | null): Promise<string | undefined> {
  const { hub, library, memoryGuard } = parts;
  for (;;) {
    const title = hub.offline
      ? vscode.l10n.t('Model that answers (offline: the Hub cannot be reached)')
      : vscode.l10n.t('Model that answers');
    const picked = await pickFromSections(
      title,
      vscode.l10n.t('A model, a repository or a folder'),
      async () => {
        const [rows] = await Promise.all([hub.rows(), library.refresh()]);
        return modelSections({ rows, known: library.models, current, catalogue: hub.catalogue });
      },
    );
    if (!picked) return undefined;
    const { choice, remove } = picked;
    const row = 'row' in choice ? choice.row : undefined;
    if (remove && row) {
      await removeRow(parts, row);
      continue;
    }
    switch (choice.kind) {
      case 'here':
        if (row && !(await memoryGuard.confirmPick(row))) continue;
        return choice.model;
      case 'download':
        if (!(await memoryGuard.confirmPick(choice.row))) continue;
        return downloadModel(parts, choice.row.entry);
      case 'repository':
        return anotherRepository(parts);
      case 'browse': {
        const folders = await vscode.window.showOpenDialog({
          title: vscode.l10n.t('Folder with a Hugging Face checkpoint'),
          canSelectFolders: true,
          canSelectFiles: false,
        });
        return folders?.[0]?.fsPath;
      }
    }
  }
}

/** Downloads an entry of the list; its name, or undefined if that was given up. */
export async function downloadModel(
  { hub, downloads, library }: ModelParts,
  entry: CatalogueEntry,
): Promise<string | undefined> {
  requireTrust();
  // A model that only the cache knows is named by its repository, which may have an entry of another kind.
  const request =
    entry.source === 'cache'
      ? requestOf(entry.id, hub.catalogue, { kind: entry.kind })
      : requestOf(entry.id, hub.catalogue);
  const result = await downloads.get({ ...request, name: entry.title });
  if (!result) return undefined;
  await library.refresh();
  return entry.id;
}

async function anotherRepository({ hub, downloads, library }: ModelParts): Promise<string | undefined> {
  requireTrust();
  const typed = await askForRepository(
    vscode.l10n.t('Hub repository of a model'),
    vscode.l10n.t(
      'A Llama, Mistral, Qwen or Phi-3 model with safetensors weights. owner/name, or owner/name@revision',
    ),
  );
  if (typed === undefined) return undefined;
  const { entry, ...request } = requestOf(typed, hub.catalogue);
  if (entry?.kind === 'token-file' || entry?.kind === 'embedding') {
    throw new UserError(
      vscode.l10n.t('{0} is no model that answers: it is an embedding file or a retrieval model.', typed),
    );
  }
  const result = await downloads.get({ ...request, name: typed });
  if (!result) return undefined;
  await library.refresh();
  return entry !== undefined && request.revision === entry.revision ? entry.id : typed;
}

/** An input box for `owner/name`; undefined if the user closed it. */
export async function askForRepository(title: string, prompt: string): Promise<string | undefined> {
  const typed = await askForText({
    title,
    prompt,
    placeHolder: 'owner/name',
    ignoreFocusOut: true,
    validateInput: (value) =>
      value.trim() === '' || repositoryOf(repositoryText(value)).repository !== undefined
        ? undefined
        : vscode.l10n.t('A repository looks like owner/name.'),
  });
  const text = repositoryText(typed ?? '');
  return text === '' ? undefined : text;
}

/** The address of a page, as it is copied from a browser, names a repository too. */
function repositoryText(typed: string): string {
  return typed.trim().replace(/^https?:\/\/[^/]+\/([^/]+\/[^/?#]+).*$/, '$1');
}

/** Downloads are for workspaces that the user trusts. */
export function requireTrust(): void {
  if (vscode.workspace.isTrusted) return;
  throw new UserError(
    vscode.l10n.t(
      'Nothing is downloaded while this workspace is not trusted. Trust it (command "Workspaces: Manage Workspace Trust"), then choose again.',
    ),
  );
}
