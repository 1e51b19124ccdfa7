/** A quick pick with sections, whose items may have a button to remove them. */
import * as vscode from 'vscode';
import { makePick, shownItem } from '../show.ts';
import type { PickSection } from './modelItems.ts';

export type Picked<Choice> = { choice: Choice; remove: boolean };

type Item<Choice> = vscode.QuickPickItem & { choice?: Choice };

/** Shows the sections; the box opens at once and says that it is looking. Undefined: the user closed it. */
export async function pickFromSections<Choice>(
  title: string,
  placeholder: string,
  load: () => Promise<PickSection<Choice>[]>,
): Promise<Picked<Choice> | undefined> {
  const pick = makePick<Item<Choice>>(title, placeholder);
  pick.matchOnDescription = true;
  pick.matchOnDetail = true;
  pick.busy = true;
  const trash: vscode.QuickInputButton = {
    iconPath: new vscode.ThemeIcon('trash'),
    tooltip: vscode.l10n.t('Remove from this machine'),
  };
  const picked = new Promise<Picked<Choice> | undefined>((resolve) => {
    pick.onDidAccept(() => {
      const choice = pick.selectedItems.at(0)?.choice;
      if (choice === undefined) return;
      resolve({ choice, remove: false });
      pick.hide();
    });
    pick.onDidTriggerItemButton(({ item: { choice } }) => {
      if (choice === undefined) return;
      resolve({ choice, remove: true });
      pick.hide();
    });
    pick.onDidHide(() => {
      resolve(undefined);
      pick.dispose();
    });
  });
  pick.show();
  try {
    pick.items = (await load()).flatMap(({ title: label, items }): Item<Choice>[] => [
      { label, kind: vscode.QuickPickItemKind.Separator },
      ...items.map((item) =>
        shownItem({
          label: item.label,
          iconPath: new vscode.ThemeIcon(item.icon),
          description: item.description,
          ...(item.detail !== '' && { detail: item.detail }),
          ...(item.removable === true && { buttons: [trash] }),
          choice: item.choice,
        }),
      ),
    ]);
    pick.busy = false;
  } catch (error) {
    pick.hide();
    throw error;
  }
  return picked;
}
