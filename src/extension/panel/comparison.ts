/** The comparison of this window: one session, shown in one panel. */
import * as vscode from 'vscode';
import { UserError } from '../../protocol/errors.ts';
import type { PanelAction } from '../../protocol/panel.ts';
import type { History } from '../history.ts';
import type { DocumentTexts } from '../documentText/documentTexts.ts';
import { isBinaryDocument } from '../documentText/extractedText.ts';
import { hitLocation } from '../hitLocation.ts';
import type { IndexService } from '../indexService.ts';
import type { ModelParts } from '../models/parts.ts';
import { withStoredAdapters } from '../prag/storedAdapters.ts';
import { inputsFromSettings, keepChoices } from '../settings.ts';
import { BudgetWatch } from './budget.ts';
import { ComparisonSession } from './comparisonSession.ts';
import { PanelHost, panelType } from './panelHost.ts';
import { emptyState, restoreState } from './panelStore.ts';
import { openRecordFile, pickRecord, saveRecord } from './recordFiles.ts';
import { type Log, showError, showWarning } from '../show.ts';

export interface ComparisonParts extends ModelParts {
  context: vscode.ExtensionContext;
  index: IndexService;
  history: History;
  documentTexts: DocumentTexts;
  log: Log;
}

const commandOf: Record<PanelAction['action'], string> = {
  'index-workspace': 'springRag.indexWorkspace',
  'open-folder': 'vscode.openFolder',
  'trust-workspace': 'workbench.trust.manage',
  'select-model': 'springRag.selectModel',
  'use-demo-model': 'springRag.useModel',
  'select-token-file': 'springRag.selectTokenFile',
  'encode-passages': 'springRag.encodePassages',
  'restart-engine': 'springRag.restartEngine',
  'show-log': 'springRag.showLog',
  retry: '',
};

export class Comparison implements vscode.Disposable {
  readonly session: ComparisonSession;
  readonly #parts: ComparisonParts;
  readonly #disposables: { dispose: () => unknown }[] = [];
  #host: PanelHost | null = null;

  constructor(parts: ComparisonParts) {
    this.#parts = parts;
    const { engines, index, library, history, hub, memoryGuard } = parts;
    this.session = new ComparisonSession(
      { ...emptyState(), inputs: inputsFromSettings() },
      {
        libraryKnown: () => library.known(),
        ensureIndexed: (signal) => index.ensureIndexed(signal),
        search: (query, count, signal) => index.search(query, count, signal),
        compare: async (request, signal, onEvents) => {
          await memoryGuard.beforeLoading(request, library.models);
          const { request: ready, unavailable } = await withStoredAdapters(request, engines, signal);
          onEvents(unavailable);
          await engines.inference.request('compare', ready, { signal, onProgress: onEvents });
        },
        questionAsked: (question) => void history.add(question),
        // What goes wrong with it is told by the comparison, which loads the model if it is not there.
        warmUp: (selection) => {
          void memoryGuard
            .warningFor(selection, library.models)
            .then((warning) => (warning === null ? engines.inference.request('load', selection) : null))
            .catch(() => undefined);
        },
        keepChoices: (choices) => library.noteChosen(choices).then(() => keepChoices(choices, parts.log)),
        catalogue: () => hub.catalogue,
      },
    );
    const { store } = this.session;
    const showWorkspace = (): void => {
      const name = vscode.workspace.name ?? null;
      store.patch({ workspace: { name, trusted: vscode.workspace.isTrusted } });
    };
    showWorkspace();
    this.#disposables.push(
      store.onDidChange(() => this.#setContexts()),
      new BudgetWatch(store, (request) => engines.index.request('fitPassages', request)),
      index.onDidChange((state) => store.patch({ index: state })),
      library.onDidChange(() => this.session.setLibrary([...library.models], [...library.tokenFiles])),
      engines.onDidChangeState(({ role, state, message }) => this.#engineChanged(role, state, message)),
      engines.onDidChangeModel((message) => this.session.notify('warning', message)),
      vscode.workspace.onDidChangeWorkspaceFolders(showWorkspace),
      vscode.workspace.onDidGrantWorkspaceTrust(showWorkspace),
      vscode.window.registerWebviewPanelSerializer(panelType, {
        deserializeWebviewPanel: (panel, stored: unknown) => {
          this.#restore(panel, stored);
          return Promise.resolve();
        },
      }),
    );
  }

  /** Shows the panel, opening it if needed. */
  show(target?: 'question' | 'passages' | 'token-file'): void {
    if (this.#host) this.#host.reveal();
    else {
      const column = vscode.ViewColumn.Active;
      this.#attach(vscode.window.createWebviewPanel(panelType, 'SPRING', column));
    }
    if (target) this.#host?.focus(target);
  }

  /** Shows the panel and asks; resolves when the run has ended. */
  async ask(question: string): Promise<void> {
    this.show();
    await this.session.ask(question);
  }

  async openRecord(uri: vscode.Uri): Promise<void> {
    if (!(await this.#mayReplaceAnswers())) return;
    await this.#parts.library.refresh();
    await openRecordFile(uri, this.session);
    this.show();
  }

  /** Answers that were not saved are not replaced unasked. */
  async #mayReplaceAnswers(): Promise<boolean> {
    if (!this.session.unsaved) return true;
    const save = vscode.l10n.t('Save…');
    const discard = vscode.l10n.t('Replace Them');
    const chosen = await showWarning(
      vscode.l10n.t(
        'The answers shown have not been saved. The experiment that is opened takes their place.',
      ),
      { modal: true },
      save,
      discard,
    );
    return chosen === discard || (chosen === save && (await this.saveRecord()) !== null);
  }

  /** Saves the answers shown; null if the user closed the dialog. */
  saveRecord(): Promise<string | null> {
    return saveRecord(this.session, this.#parts.context.extension.packageJSON as { version: string });
  }

  dispose(): void {
    vscode.Disposable.from(...this.#disposables).dispose();
    this.#host?.dispose();
  }

  #attach(panel: vscode.WebviewPanel): void {
    const { context, log } = this.#parts;
    this.#host = new PanelHost(
      panel,
      this.session,
      {
        openPassage: (id) => this.#openPassage(id),
        addPassageFromEditor: async () => {
          await vscode.commands.executeCommand('springRag.addSelectionAsPassage');
        },
        pickTokenFile: async () =>
          (await vscode.commands.executeCommand('springRag.selectTokenFile')) === true,
        pickModel: async () => (await vscode.commands.executeCommand('springRag.selectModel')) === true,
        saveRecord: () => this.saveRecord(),
        openRecord: async () => {
          const uri = await pickRecord();
          if (uri) await this.openRecord(uri);
          return uri !== null;
        },
        runAction: (action) => this.#runAction(action),
      },
      context.extensionUri,
      log,
    );
    panel.onDidDispose(() => {
      this.#host = null;
      this.session.cancel();
    });
  }

  #restore(panel: vscode.WebviewPanel, stored: unknown): void {
    const state = restoreState(stored);
    if (state && this.session.state.columns.length === 0) {
      const { inputs, passages, columns, run, record } = state;
      this.session.store.patch({ inputs, passages, columns, run, record });
      // What is known in this window, not what was known in the one that was closed.
      const { models, tokenFiles } = this.#parts.library;
      if (models.length > 0) this.session.setLibrary([...models], [...tokenFiles]);
    }
    if (this.#host) panel.dispose();
    else this.#attach(panel);
  }

  #engineChanged(role: string, state: string, message: string): void {
    if (role === 'inference' && state !== 'running')
      this.session.store.patch({ model: { kind: 'unloaded' } });
    if (state !== 'down') return;
    this.session.notify('error', message, [
      { label: 'Restart Engine', action: 'restart-engine' },
      { label: 'Show Log', action: 'show-log' },
    ]);
    if (!this.#host) void this.#offerRestart(message);
  }

  /** The same for users who do not see the panel. */
  async #offerRestart(message: string): Promise<void> {
    const restart = vscode.l10n.t('Restart Engine');
    const chosen = await showError(message, restart);
    if (chosen === restart) await vscode.commands.executeCommand('springRag.restartEngine');
  }

  async #runAction(action: PanelAction['action']): Promise<void> {
    if (action === 'retry') void this.session.retry();
    else
      await vscode.commands.executeCommand(
        commandOf[action],
        ...(action === 'use-demo-model' ? ['demo'] : []),
      );
  }

  /** Opens a passage's document beside the panel with its lines selected. */
  async #openPassage(id: string): Promise<void> {
    const { passage, folder } = this.session.state.passages.find((candidate) => candidate.id === id) ?? {};
    if (passage?.path === undefined)
      throw new UserError('This passage was added by hand; it has no document.');
    const { uri, range } = hitLocation({ ...passage, folder: folder ?? (await folderOf(passage.path)) });
    if (isBinaryDocument(passage.path)) {
      await this.#parts.documentTexts.show(uri, passage);
      return;
    }
    await vscode.window.showTextDocument(uri, {
      viewColumn: vscode.ViewColumn.Beside,
      selection: range,
      preview: true,
    });
  }

  #setContexts(): void {
    const { state, busy } = this.session;
    const set = (name: string, value: boolean): void => {
      if (this.#contexts.get(name) === value) return;
      this.#contexts.set(name, value);
      void vscode.commands.executeCommand('setContext', `springRag.${name}`, value);
    };
    set('busy', busy || state.index.kind === 'indexing');
    set('indexing', state.index.kind === 'indexing');
    set('indexed', state.index.kind === 'ready');
    set('passagesChosen', this.session.tried.passages);
    set('virtualTokensChosen', this.session.tried.virtualTokens);
    set('modelChosen', this.session.tried.model);
    set('hasPassages', state.passages.length > 0);
    set('hasAnswers', state.columns.length > 0 && !busy);
  }
  readonly #contexts = new Map<string, boolean>();
}

/** The workspace folder that has a file at this relative path. */
async function folderOf(path: string): Promise<string> {
  for (const { uri } of vscode.workspace.workspaceFolders ?? []) {
    try {
      await vscode.workspace.fs.stat(vscode.Uri.joinPath(uri, path));
      return uri.fsPath;
    } catch {
      // not in this folder
    }
  }
  throw new UserError(`${path} is not in this workspace (any more).`);
}
