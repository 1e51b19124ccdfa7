/** The views of the side panel: index, models, embedding files, questions and experiments. */
import * as vscode from 'vscode';
import type { FileProblemKind, IndexFileError } from '../../protocol/engine.ts';
import { modelRows, tokenFileRows } from '../models/sideRows.ts';
import type { ComparisonParts } from '../panel/comparison.ts';
import type { ComparisonSession } from '../panel/comparisonSession.ts';
import { findRecords, recordPattern } from '../panel/recordFiles.ts';
import { registerListView, type Row } from './listView.ts';

/** Registers the four views. */
export function registerSidePanel(parts: ComparisonParts, session: ComparisonSession): vscode.Disposable {
  const { index, library, history, hub } = parts;
  const selection = new vscode.EventEmitter<void>();
  let shown = '';
  const listening = session.store.onDidChange(() => {
    const { model, tokenFile } = session.state.inputs;
    const now = JSON.stringify([
      model,
      tokenFile,
      session.state.model.kind,
      session.state.tokenFileFit,
      session.state.tokenFileWarnings,
    ]);
    if (now !== shown) selection.fire();
    shown = now;
  });
  const records = vscode.workspace.createFileSystemWatcher(recordPattern, false, true, false);
  return vscode.Disposable.from(
    selection,
    listening,
    records,
    registerListView('springRag.index', () => indexRows(parts), [index.onDidChange]),
    registerListView(
      'springRag.models',
      () => modelRows(parts, session),
      [library.onDidChange, hub.onDidChange, selection.event],
      // A .gguf file or a folder with a checkpoint; what is neither is refused with the reason.
      ([file]) => vscode.commands.executeCommand('springRag.useModel', file),
    ),
    registerListView('springRag.tokenFiles', () => tokenFileRows(parts, session), [
      library.onDidChange,
      hub.onDidChange,
      selection.event,
    ]),
    registerListView('springRag.history', () => historyRows(parts), [
      history.onDidChange,
      records.onDidCreate,
      records.onDidDelete,
    ]),
  );
}

function indexRows({ index }: ComparisonParts): Row[] {
  const { state } = index;
  switch (state.kind) {
    case 'none':
    case 'no-folder':
      return []; // the view's welcome says what to do
    case 'indexing':
      return [
        {
          label: vscode.l10n.t('Indexing'),
          description: vscode.l10n.t('{0} files, {1} passages', state.filesDone, state.chunks),
          iconPath: new vscode.ThemeIcon('loading~spin'),
        },
      ];
    case 'failed':
      return [{ label: state.message, tooltip: state.message, iconPath: new vscode.ThemeIcon('error') }];
    case 'ready': {
      const rows: Row[] = [
        {
          label: vscode.l10n.t('Files'),
          description: String(state.files),
          iconPath: new vscode.ThemeIcon('files'),
        },
        {
          label: vscode.l10n.t('Passages'),
          description: String(state.chunks),
          iconPath: new vscode.ThemeIcon('list-unordered'),
        },
        {
          label: vscode.l10n.t('Last update'),
          description: new Date(state.updatedAt).toLocaleString(vscode.env.language),
          iconPath: new vscode.ThemeIcon('clock'),
        },
      ];
      if (state.files === 0) {
        rows.push({
          label: vscode.l10n.t('No documents found'),
          description: vscode.l10n.t(
            'Documents are Markdown, text, HTML, PDF, Word, notebooks, reStructuredText, AsciiDoc',
          ),
          iconPath: new vscode.ThemeIcon('info'),
        });
      }
      if (state.errors > 0) rows.push(skippedRow(index.errors));
      return rows;
    }
  }
}

/** What of the workspace is not searched, or only in part, by kind. */
function skippedRow(errors: readonly IndexFileError[]): Row {
  const names: Record<FileProblemKind, string> = {
    partlyRead: vscode.l10n.t('Read in part'),
    damaged: vscode.l10n.t('Damaged'),
    protected: vscode.l10n.t('Protected by a password'),
    noText: vscode.l10n.t('Without text'),
    tooLarge: vscode.l10n.t('Too large'),
    timedOut: vscode.l10n.t('Took too long to read'),
    tooMuchMemory: vscode.l10n.t('Needed too much memory'),
    unknownFormat: vscode.l10n.t('Formats that cannot be read'),
    unreadable: vscode.l10n.t('May not or cannot be read'),
  };
  const kinds = Object.keys(names) as FileProblemKind[];
  return {
    label: vscode.l10n.t('Skipped or read in part'),
    description: String(errors.length),
    iconPath: new vscode.ThemeIcon('warning'),
    collapsibleState: vscode.TreeItemCollapsibleState.Collapsed,
    children: kinds.flatMap((kind) => {
      const files = errors.filter((error) => error.kind === kind);
      if (files.length === 0) return [];
      return {
        label: names[kind],
        description: String(files.length),
        collapsibleState: vscode.TreeItemCollapsibleState.Collapsed,
        children: files.map(({ path, message }) => ({
          label: path,
          description: message,
          tooltip: `${path}\n${message}`,
        })),
      };
    }),
  };
}

async function historyRows({ history }: ComparisonParts): Promise<Row[]> {
  const questions = history.questions.map((question): Row & { question: string } => ({
    question,
    label: question,
    tooltip: question,
    contextValue: 'question',
    iconPath: new vscode.ThemeIcon('comment'),
  }));
  const records = (await findRecords()).map((uri): Row & { uri: vscode.Uri } => ({
    uri,
    label: vscode.workspace.asRelativePath(uri).replace(/\.spring\.json$/, ''),
    tooltip: uri.fsPath,
    contextValue: 'record',
    iconPath: new vscode.ThemeIcon('beaker'),
    command: { command: 'springRag.openRecord', title: vscode.l10n.t('Open'), arguments: [uri] },
  }));
  return [...questions, ...records];
}
