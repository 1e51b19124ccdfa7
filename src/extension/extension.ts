/** The extension's start: makes the parts and ties them together. */
import * as vscode from 'vscode';
import { registerParticipant } from './chat/participant.ts';
import { registerSearchTool } from './chat/searchTool.ts';
import { registerCommands } from './commands.ts';
import { Engines } from './engines.ts';
import { History } from './history.ts';
import { IndexService } from './indexService.ts';
import { Library } from './library.ts';
import { registerModelCommands } from './models/commands.ts';
import { DocumentTexts } from './documentText/documentTexts.ts';
import { Downloads } from './models/downloads.ts';
import { HubModels } from './models/hubModels.ts';
import { MemoryGuard } from './models/memoryGuard.ts';
import { registerLoadingProgress } from './loadingProgress.ts';
import { Comparison } from './panel/comparison.ts';
import { registerPrag } from './prag/prag.ts';
import { makeLog } from './show.ts';
import { registerStatusBar } from './statusBar.ts';
import { Training } from './training/training.ts';
import { registerSidePanel } from './views/sidePanel.ts';

/** After activation; a question that comes earlier does not wait for it. */
const startDelayMs = 300;

export function activate(context: vscode.ExtensionContext): void {
  const log = makeLog('SPRING');
  const hub = new HubModels(context, log);
  const engines = new Engines(context.extensionUri, log, hub.entriesFile);
  const index = new IndexService(engines, context.storageUri, log);
  const library = new Library(engines, context, log);
  const history = new History(context.workspaceState);
  const downloads = new Downloads(hub, log);
  const memoryGuard = new MemoryGuard();
  const documentTexts = new DocumentTexts(engines);
  const parts = {
    context,
    engines,
    documentTexts,
    index,
    library,
    history,
    log,
    hub,
    downloads,
    memoryGuard,
  };
  const comparison = new Comparison(parts);
  context.subscriptions.push(
    log,
    hub,
    engines,
    documentTexts,
    index,
    library,
    history,
    comparison,
    registerCommands(parts, comparison),
    registerModelCommands(parts, log),
    registerSidePanel(parts, comparison.session),
    registerStatusBar(comparison.session),
    registerLoadingProgress(comparison.session),
    registerSearchTool(index),
    registerParticipant(parts, comparison.session),
    registerPrag(parts, comparison.session),
    new Training({ ...parts, session: comparison.session }),
  );
  // Starting a process blocks this one for a moment: not while the window starts.
  const start = setTimeout(() => {
    void index.start();
    void library.refresh();
  }, startDelayMs);
  context.subscriptions.push({ dispose: () => clearTimeout(start) });
}
