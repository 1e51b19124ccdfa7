/** The extension's start: makes the parts and ties them together. */
import * as vscode from 'vscode';
import { registerParticipant } from './chat/participant.ts';
import { registerSearchTool } from './chat/searchTool.ts';
import { registerCommands } from './commands.ts';
import { Engines } from './engines.ts';
import { History } from './history.ts';
import { IndexService } from './indexService.ts';
import { Library } from './library.ts';
import { Comparison } from './panel/comparison.ts';
import { registerStatusBar } from './statusBar.ts';
import { registerSidePanel } from './views/sidePanel.ts';

export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel('SPRING', { log: true });
  const engines = new Engines(context.extensionUri, log);
  const index = new IndexService(engines, context.storageUri, log);
  const library = new Library(engines, context.extensionUri, log);
  const history = new History(context.workspaceState);
  const parts = { context, engines, index, library, history, log };
  const comparison = new Comparison(parts);
  context.subscriptions.push(
    log,
    engines,
    index,
    library,
    history,
    comparison,
    registerCommands(parts, comparison),
    registerSidePanel(parts, comparison.session),
    registerStatusBar(comparison.session),
    registerSearchTool(index),
    registerParticipant(parts, comparison.session),
  );
  // Nothing of this may hold up the start of the window.
  void index.open();
  void library.refresh();
}
