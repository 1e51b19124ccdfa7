/** The icon on the tabs of the panels. */
import * as vscode from 'vscode';

/** The icon of a panel's tab, for light and dark themes (a tab does not colour it as the activity bar does). */
export function panelIcon(extensionUri: vscode.Uri): { light: vscode.Uri; dark: vscode.Uri } {
  const file = (name: string): vscode.Uri => vscode.Uri.joinPath(extensionUri, 'media', name);
  return { light: file('panel-light.svg'), dark: file('panel-dark.svg') };
}
