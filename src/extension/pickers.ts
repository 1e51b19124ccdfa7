/** Quick picks: question, model, embedding file, passages. */
import * as vscode from 'vscode';
import type { PanelPassage, PanelState } from '../protocol/panel.ts';
import type { Library } from './library.ts';

/** An input box with the questions asked before; undefined if the user closed it. */
export function askForQuestion(history: readonly string[], initial: string): Promise<string | undefined> {
  const pick = vscode.window.createQuickPick();
  pick.title = vscode.l10n.t('Ask the documents of this workspace');
  pick.placeholder = vscode.l10n.t('Type a question, or choose an earlier one');
  pick.value = initial;
  const show = (): void => {
    const typed = pick.value.trim();
    const earlier = history
      .filter((question) => question !== typed)
      .map((label) => ({ label, iconPath: new vscode.ThemeIcon('history') }));
    pick.items =
      typed === ''
        ? earlier
        : [
            { label: typed, alwaysShow: true, iconPath: new vscode.ThemeIcon('comment-discussion') },
            ...earlier,
          ];
  };
  show();
  return new Promise((resolve) => {
    pick.onDidChangeValue(show);
    pick.onDidAccept(() => {
      const chosen = pick.selectedItems.at(0)?.label ?? pick.value.trim();
      if (chosen === '') return;
      resolve(chosen);
      pick.hide();
    });
    pick.onDidHide(() => {
      resolve(undefined);
      pick.dispose();
    });
    pick.show();
  });
}

/** A model's id, or undefined if the user closed the picker. */
export async function pickModel(library: Library, current: string | null): Promise<string | undefined> {
  const browse = { label: vscode.l10n.t('$(folder-opened) Choose a folder...'), model: undefined };
  const items = library.models.map((model) => ({
    label: `${model.id === current ? '$(check) ' : ''}${model.name}`,
    description: model.problem ?? `${model.architecture}, ${formatBytes(model.weightBytes)}`,
    detail: model.problem === undefined ? model.folder : undefined,
    model: model.id,
  }));
  const picked = await vscode.window.showQuickPick([...items, browse], {
    placeHolder: vscode.l10n.t('Model that answers'),
    matchOnDescription: true,
  });
  if (!picked) return undefined;
  if (picked.model !== undefined) return picked.model;
  const folders = await vscode.window.showOpenDialog({
    title: vscode.l10n.t('Folder with a Hugging Face checkpoint'),
    canSelectFolders: true,
    canSelectFiles: false,
  });
  return folders?.[0]?.fsPath;
}

/** The path of an embedding file, or undefined if the user closed the picker. */
export async function pickTokenFile(library: Library, state: PanelState): Promise<string | undefined> {
  const browse = { label: vscode.l10n.t('$(folder-opened) Choose a file...'), path: undefined };
  const items = library.tokenFiles.map((file) => ({
    label: `${file.path === state.inputs.tokenFile ? '$(check) ' : ''}${file.name}`,
    description:
      file.problem === undefined ? `${String(file.rows)} x ${String(file.hiddenSize)} ${file.dtype}` : '',
    detail: state.tokenFileFit[file.path] ?? file.path,
    path: file.path,
  }));
  const picked = await vscode.window.showQuickPick([...items, browse], {
    placeHolder: vscode.l10n.t('Embedding file (virtual tokens)'),
  });
  if (!picked) return undefined;
  if (picked.path !== undefined) return picked.path;
  const files = await vscode.window.showOpenDialog({
    title: vscode.l10n.t('Embedding file'),
    filters: { [vscode.l10n.t('Embedding files')]: ['pt', 'bin', 'safetensors'] },
  });
  return files?.[0]?.fsPath;
}

/** The ids of the passages ticked, or undefined if the user closed the picker. */
export async function pickPassages(passages: readonly PanelPassage[]): Promise<string[] | undefined> {
  const items = passages.map(({ id, passage, ticked, rank }) => ({
    label: passage.path ?? vscode.l10n.t('Added by hand'),
    description:
      passage.startLine === undefined ? '' : `${String(passage.startLine)}-${String(passage.endLine)}`,
    detail: passage.text.replace(/\s+/g, ' ').slice(0, 200),
    picked: ticked,
    id,
    rank,
  }));
  const picked = await vscode.window.showQuickPick(items, {
    canPickMany: true,
    placeHolder: vscode.l10n.t('Passages that the model may read'),
  });
  return picked?.map(({ id }) => id);
}

/** Bytes with a unit, for people. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1000 ** step).toFixed(step === 0 ? 0 : 1)} ${units[step]!}`;
}
