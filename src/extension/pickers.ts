/** Quick picks: question and passages. */
import * as vscode from 'vscode';
import type { PanelPassage } from '../protocol/panel.ts';
import { makePick, pickMany, shownItem } from './show.ts';

/** An input box with the questions asked before; undefined if the user closed it. */
export function askForQuestion(history: readonly string[], initial: string): Promise<string | undefined> {
  const pick = makePick<vscode.QuickPickItem & { question: string }>(
    vscode.l10n.t('Ask the documents of this workspace'),
    vscode.l10n.t('Type a question, or choose an earlier one'),
  );
  pick.value = initial;
  const show = (): void => {
    const typed = pick.value.trim();
    const earlier = history
      .filter((question) => question !== typed)
      .map((question) => itemOf(question, 'history'));
    pick.items =
      typed === '' ? earlier : [{ ...itemOf(typed, 'comment-discussion'), alwaysShow: true }, ...earlier];
  };
  show();
  return new Promise((resolve) => {
    pick.onDidChangeValue(show);
    pick.onDidAccept(() => {
      const chosen = pick.selectedItems.at(0)?.question ?? pick.value.trim();
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

function itemOf(question: string, icon: string): vscode.QuickPickItem & { question: string } {
  return shownItem({ label: question, question, iconPath: new vscode.ThemeIcon(icon) });
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
  const picked = await pickMany(items, {
    placeHolder: vscode.l10n.t('Passages that the model may read'),
  });
  return picked?.map(({ id }) => id);
}
