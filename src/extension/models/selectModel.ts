/** Select Model: what is here, a file or folder, what can be had, another repository; downloads what is not here. */
import * as vscode from 'vscode';
import { findEntry, repositoryOf } from '../../hub/catalogue.ts';
import { openConnection } from '../../hub/connection.ts';
import { HubError } from '../../hub/hubError.ts';
import { machineMemory } from '../../hub/memory.ts';
import { isGgufRepository, readRepository, type RemoteRepository } from '../../hub/repository.ts';
import { requestOf } from '../../hub/request.ts';
import type { CatalogueEntry } from '../../hub/types.ts';
import { UserError } from '../../protocol/errors.ts';
import { ggufItems, repositoryText } from './ggufItems.ts';
import type { HubModels } from './hubModels.ts';
import { modelSections } from './modelItems.ts';
import type { ModelParts } from './parts.ts';
import { removeRow } from './removal.ts';
import { pickFromSections } from './sectionPick.ts';
import { askForText, pickOne, showWarning, withProgress } from '../show.ts';

/** The name (or folder) of a model that is on this machine now; undefined: the user chose none. */
export async function chooseModel(parts: ModelParts, current: string | null): Promise<string | undefined> {
  const { hub, library, memoryGuard } = parts;
  for (;;) {
    const title = hub.offline
      ? vscode.l10n.t('Model that answers (offline: the Hub cannot be reached)')
      : vscode.l10n.t('Model that answers');
    const picked = await pickFromSections(
      title,
      vscode.l10n.t('A model, a file, a folder or a repository'),
      async () => {
        const [rows, local] = await Promise.all([hub.rows(), library.localModels(), library.refresh()]);
        const { catalogue, cacheDir } = hub;
        return modelSections({ rows, local, known: library.models, current, catalogue, cacheDir });
      },
    );
    if (!picked) return undefined;
    const { choice, remove } = picked;
    const row = 'row' in choice ? choice.row : undefined;
    if (remove) {
      if (row) await removeRow(parts, row);
      continue;
    }
    switch (choice.kind) {
      case 'here':
        if (choice.local === undefined && row && !(await memoryGuard.confirmPick(row))) continue;
        if (choice.local && !(await memoryGuard.confirmLocal(choice.local))) continue;
        return choice.model;
      case 'misfit':
        await showWarning(choice.message, { modal: true });
        continue;
      case 'download':
        if (!(await memoryGuard.confirmPick(choice.row))) continue;
        return downloadModel(parts, choice.row.entry);
      case 'repository':
        return anotherRepository(parts);
      case 'browse':
        return browse(choice.what);
    }
  }
}

/** Not both in one dialog: on Windows and Linux one that shows folders shows no files. */
async function browse(what: 'file' | 'folder'): Promise<string | undefined> {
  const chosen = await vscode.window.showOpenDialog(
    what === 'folder'
      ? {
          title: vscode.l10n.t('Folder with a Hugging Face checkpoint'),
          canSelectFolders: true,
          canSelectFiles: false,
        }
      : {
          title: vscode.l10n.t('Model in a GGUF file'),
          // A file that is named by its hash, as Ollama names its own, has no ending.
          filters: { [vscode.l10n.t('GGUF files')]: ['gguf'], [vscode.l10n.t('All files')]: ['*'] },
        },
  );
  return chosen?.[0]?.fsPath;
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
      'A model in safetensors weights or GGUF files. owner/name, owner/name@revision, or owner/name:Q4_K_M',
    ),
  );
  if (typed === undefined) return undefined;
  const name = await withQuantization(hub, typed);
  if (name === undefined) return undefined;
  const { entry, ...request } = requestOf(name, hub.catalogue);
  if (entry?.kind === 'token-file' || entry?.kind === 'embedding') {
    throw new UserError(
      vscode.l10n.t('{0} is no model that answers: it is an embedding file or a retrieval model.', name),
    );
  }
  const result = await downloads.get({ ...request, name });
  if (!result) return undefined;
  await library.refresh();
  return entry !== undefined && request.revision === entry.revision ? entry.id : name;
}

/** The name with one of the repository's quantisations where it holds GGUF files; undefined: the user chose none. */
async function withQuantization(hub: HubModels, name: string): Promise<string | undefined> {
  const { repository = name, revision, file } = repositoryOf(name);
  const entry = findEntry(hub.catalogue, repository);
  if (file !== undefined || (entry !== undefined && entry.file === undefined)) return name;
  let remote: RemoteRepository;
  try {
    remote = await lookAtRepository(hub, repository, revision);
  } catch (error) {
    // What the cache has can be used without the Hub; the download says what else is wrong, and the ways out.
    if (error instanceof HubError) return name;
    throw error;
  }
  if (!isGgufRepository(remote)) return name;
  const items = ggufItems(remote.files, machineMemory());
  const picked = await pickOne(
    items.map(({ icon, ...item }) => ({ ...item, iconPath: new vscode.ThemeIcon(icon) })),
    {
      title: repository,
      placeHolder: vscode.l10n.t('Quantisation: the larger the file, the nearer to the original'),
    },
  );
  return picked && `${name}:${picked.tag}`;
}

/** Asks the Hub what a repository holds, in a notification that can be cancelled. */
export async function lookAtRepository(
  hub: HubModels,
  repository: string,
  revision = 'main',
): Promise<RemoteRepository> {
  return withProgress(
    {
      location: vscode.ProgressLocation.Notification,
      title: vscode.l10n.t('Looking at {0}', repository),
      cancellable: true,
    },
    async (_, cancellation) => {
      const abort = new AbortController();
      cancellation.onCancellationRequested(() => abort.abort());
      return readRepository(await openConnection(hub.options(abort.signal)), repository, revision);
    },
  );
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

/** Downloads are for workspaces that the user trusts. */
export function requireTrust(): void {
  if (vscode.workspace.isTrusted) return;
  throw new UserError(
    vscode.l10n.t(
      'Nothing is downloaded while this workspace is not trusted. Trust it (command "Workspaces: Manage Workspace Trust"), then choose again.',
    ),
  );
}
