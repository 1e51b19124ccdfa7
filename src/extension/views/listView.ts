/** A flat tree view over a list that changes. */
import * as vscode from 'vscode';
import { plain } from '../harmless.ts';

/** A tree item as plain data. Its texts may come from files: they are shown as they stand. */
export type Row = { [Key in keyof vscode.TreeItem]?: vscode.TreeItem[Key] } & {
  label: string;
  description?: string;
  tooltip?: string;
  children?: Row[];
};

/**
 * Registers a view whose rows are made anew whenever one of the events fires.
 *
 * @param drop what to do with files that are dropped on the view; absent: nothing can be dropped
 */
export function registerListView(
  id: string,
  rows: () => Row[] | Promise<Row[]>,
  changes: vscode.Event<unknown>[],
  drop?: (files: vscode.Uri[]) => unknown,
): vscode.Disposable {
  const changed = new vscode.EventEmitter<void>();
  const provider: vscode.TreeDataProvider<Row> = {
    onDidChangeTreeData: changed.event,
    getTreeItem: (row) => Object.assign(new vscode.TreeItem(row.label), row, shownRow(row)),
    getChildren: (row) => (row ? (row.children ?? []) : rows()),
  };
  return vscode.Disposable.from(
    changed,
    ...changes.map((event) => event(() => changed.fire())),
    drop
      ? vscode.window.createTreeView(id, {
          treeDataProvider: provider,
          dragAndDropController: dropController(drop),
        })
      : vscode.window.registerTreeDataProvider(id, provider),
  );
}

const uriList = 'text/uri-list';

/** Takes files from VS Code's explorer and editors, and from the system. */
function dropController(drop: (files: vscode.Uri[]) => unknown): vscode.TreeDragAndDropController<Row> {
  return {
    dragMimeTypes: [],
    dropMimeTypes: [uriList, 'files'],
    handleDrop: async (_, transfer) => {
      const text = (await transfer.get(uriList)?.asString()) ?? '';
      const lines = text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#'));
      const files = lines.map((line) => vscode.Uri.parse(line));
      transfer.forEach((item) => {
        const uri = item.asFile()?.uri;
        if (uri) files.push(uri);
      });
      if (files.length > 0) await drop(files);
    },
  };
}

function shownRow({ label, description, tooltip }: Row): Partial<Row> {
  return {
    label: plain(label),
    ...(description !== undefined && { description: plain(description) }),
    ...(tooltip !== undefined && { tooltip: plain(tooltip) }),
  };
}
