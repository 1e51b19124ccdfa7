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

/** Registers a view whose rows are made anew whenever one of the events fires. */
export function registerListView(
  id: string,
  rows: () => Row[] | Promise<Row[]>,
  changes: vscode.Event<unknown>[],
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
    vscode.window.registerTreeDataProvider(id, provider),
  );
}

function shownRow({ label, description, tooltip }: Row): Partial<Row> {
  return {
    label: plain(label),
    ...(description !== undefined && { description: plain(description) }),
    ...(tooltip !== undefined && { tooltip: plain(tooltip) }),
  };
}
