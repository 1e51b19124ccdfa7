/** The commands of the manifest. */
import * as vscode from 'vscode';
import { CancelledError, messageOf, UserError } from '../protocol/errors.ts';
import type { ComparisonParts } from './panel/comparison.ts';
import { Comparison } from './panel/comparison.ts';
import { pickRecord } from './panel/recordFiles.ts';
import { chooseModel } from './models/selectModel.ts';
import { chooseTokenFile } from './models/selectTokenFile.ts';
import { askForQuestion, pickPassages } from './pickers.ts';
import { section } from './settings.ts';
import { type Log, showError, showStatus, withProgress } from './show.ts';

/** Registers every command; errors of the user's making are shown, others are logged too. */
export function registerCommands(parts: ComparisonParts, comparison: Comparison): vscode.Disposable {
  const { engines, index, library, history, log, context } = parts;
  const { session } = comparison;

  const commands: Record<string, (...values: never[]) => unknown> = {
    ask: async () => {
      const question = await askForQuestion(history.questions, selectedText());
      if (question !== undefined) await comparison.ask(question);
    },
    askSelection: async () => {
      const question = selectedText();
      if (question === '') throw new UserError('Nothing is selected in the editor.');
      await comparison.ask(question);
    },
    compareQuestion: (question: string) => comparison.ask(question),
    askAgain: (node: { question: string }) => comparison.ask(node.question),
    addSelectionAsPassage: () => {
      const editor = vscode.window.activeTextEditor ?? vscode.window.visibleTextEditors.at(0);
      if (!editor || editor.selection.isEmpty) {
        throw new UserError('Select some text in an editor first: it becomes the passage.');
      }
      const { document, selection } = editor;
      const path = vscode.workspace.asRelativePath(document.uri, false);
      const inWorkspace = vscode.workspace.getWorkspaceFolder(document.uri) !== undefined;
      session.addPassage(
        {
          text: document.getText(selection),
          ...(inWorkspace && { path, startLine: selection.start.line + 1, endLine: selection.end.line + 1 }),
        },
        'editor',
      );
      comparison.show();
    },
    compare: () => comparison.show('question'),
    indexWorkspace: () => indexWithProgress(parts, false),
    rebuildIndex: () => indexWithProgress(parts, true),
    selectModel: async () => {
      const model = await chooseModel(parts, session.state.inputs.model);
      if (model === undefined) return false;
      await selectModel(model);
      return true;
    },
    useModel: async (target: vscode.Uri | { model: string } | string) => {
      const model =
        typeof target === 'string' ? target : target instanceof vscode.Uri ? target.fsPath : target.model;
      await selectModel(model);
    },
    selectTokenFile: async () => {
      const path = await chooseTokenFile(parts, session.state);
      return path === undefined ? false : selectTokenFile(path);
    },
    useTokenFile: (target: vscode.Uri | { path: string }) =>
      selectTokenFile(target instanceof vscode.Uri ? target.fsPath : target.path),
    selectPassages: async () => {
      const ids = await pickPassages(session.state.passages);
      if (ids) session.tick(ids);
    },
    cancel: () => {
      session.cancel();
      index.cancel();
    },
    showLog: () => log.show(),
    restartEngine: async () => {
      engines.restart();
      await index.open();
      session.notify('info', 'The engine was restarted.');
    },
    openRecord: async (target?: vscode.Uri | { uri: vscode.Uri }) => {
      const uri = target instanceof vscode.Uri ? target : (target?.uri ?? (await pickRecord()));
      if (uri) await comparison.openRecord(uri);
    },
    saveRecord: () => comparison.saveRecord(),
    clearHistory: () => history.clear(),
    removeQuestion: (node: { question: string }) => history.remove(node.question),
    openWalkthrough: () =>
      vscode.commands.executeCommand(
        'workbench.action.openWalkthrough',
        `${context.extension.id}#start`,
        false,
      ),
    openSettings: () =>
      vscode.commands.executeCommand('workbench.action.openSettings', `@ext:${context.extension.id}`),
  };

  async function selectModel(model: string): Promise<void> {
    const info = await library.inspectModel(model);
    if (info.problem !== undefined) throw new UserError(info.problem);
    await library.noteChosen({ model });
    await library.refresh();
    session.edit({ model });
    await session.choicesKept;
    session.store.patch({ inputs: session.state.inputs });
  }

  async function selectTokenFile(path: string): Promise<boolean> {
    const info = await library.addTokenFile(path);
    if (info.problem !== undefined) throw new UserError(info.problem);
    const fits = session.selectTokenFile(info);
    await session.choicesKept;
    session.store.patch({ inputs: session.state.inputs });
    comparison.show();
    return fits;
  }

  return registerAll(commands, log);
}

/** Registers commands by their name; what they throw is shown, and logged if it is no error of the user's making. */
export function registerAll(
  commands: Record<string, (...values: never[]) => unknown>,
  log: Log,
): vscode.Disposable {
  return vscode.Disposable.from(
    ...Object.entries(commands).map(([name, run]) =>
      vscode.commands.registerCommand(`${section}.${name}`, async (...values: never[]) => {
        try {
          return await run(...values);
        } catch (error) {
          // The user has ended it; there is nothing to tell.
          if (error instanceof CancelledError) return undefined;
          if (error instanceof UserError) {
            void showError(error.message);
            return undefined;
          }
          log.error(error instanceof Error ? error : messageOf(error));
          const showLog = vscode.l10n.t('Show Log');
          const chosen = await showError(messageOf(error), showLog);
          if (chosen === showLog) log.show();
          return undefined;
        }
      }),
    ),
  );
}

/** Indexing in a notification that can be cancelled. */
export async function indexWithProgress(
  { index }: Pick<ComparisonParts, 'index'>,
  rebuild: boolean,
): Promise<void> {
  await withProgress(
    {
      location: vscode.ProgressLocation.Notification,
      title: vscode.l10n.t('Indexing documents'),
      cancellable: true,
    },
    async (progress, token) => {
      const abort = new AbortController();
      token.onCancellationRequested(() => abort.abort());
      const listening = index.onDidChange((state) => {
        if (state.kind !== 'indexing') return;
        progress.report({
          message: vscode.l10n.t('{0} files, {1} passages', state.filesDone, state.chunks),
        });
      });
      try {
        await index.update(rebuild, abort.signal);
      } finally {
        listening.dispose();
      }
    },
  );
  const { state } = index;
  if (state.kind === 'failed') throw new UserError(state.message);
  if (state.kind === 'ready') {
    const errors = state.errors > 0 ? vscode.l10n.t(', {0} files could not be read', state.errors) : '';
    showStatus(vscode.l10n.t('SPRING: {0} files, {1} passages{2}', state.files, state.chunks, errors), 5000);
  }
}

function selectedText(): string {
  const editor = vscode.window.activeTextEditor;
  return editor ? editor.document.getText(editor.selection).trim() : '';
}
