/** The status-bar item: what SPRING is doing, and a click to the panel. */
import * as vscode from 'vscode';
import type { PanelState } from '../protocol/panel.ts';
import { plain } from './harmless.ts';
import type { ComparisonSession } from './panel/comparisonSession.ts';

export function registerStatusBar(session: ComparisonSession): vscode.Disposable {
  const item = vscode.window.createStatusBarItem('springRag.status', vscode.StatusBarAlignment.Right, 90);
  item.name = 'SPRING';
  const show = (): void => {
    const { text, tooltip, command, problem } = statusOf(session.state);
    item.text = text;
    item.tooltip = plain(tooltip);
    item.command = `springRag.${command}`;
    item.backgroundColor = problem ? new vscode.ThemeColor('statusBarItem.errorBackground') : undefined;
  };
  show();
  item.show();
  return vscode.Disposable.from(item, session.store.onDidChange(show));
}

interface Status {
  text: string;
  tooltip: string;
  command: string;
  problem?: boolean;
}

function statusOf({ index, run, model }: PanelState): Status {
  if (run.kind === 'retrieving' || run.kind === 'loading' || run.kind === 'streaming') {
    const doing = {
      retrieving: vscode.l10n.t('searching'),
      loading: vscode.l10n.t('loading the model'),
      streaming: vscode.l10n.t('answering'),
    }[run.kind];
    return {
      text: `$(loading~spin) SPRING: ${doing}`,
      tooltip: vscode.l10n.t('Click to cancel'),
      command: 'cancel',
    };
  }
  if (index.kind === 'indexing') {
    const files = vscode.l10n.t('{0} files', index.filesDone);
    return {
      text: `$(loading~spin) SPRING: ${files}`,
      tooltip: vscode.l10n.t('Indexing; click to cancel'),
      command: 'cancel',
    };
  }
  if (index.kind === 'failed') {
    return { text: '$(error) SPRING', tooltip: index.message, command: 'showLog', problem: true };
  }
  if (model.kind === 'failed') {
    return { text: '$(error) SPRING', tooltip: model.message, command: 'showLog', problem: true };
  }
  const known =
    index.kind === 'ready'
      ? vscode.l10n.t('{0} files, {1} passages indexed', index.files, index.chunks)
      : vscode.l10n.t('No documents indexed yet');
  return {
    text: '$(split-horizontal) SPRING',
    tooltip: `${known}\n${vscode.l10n.t('Click to compare')}`,
    command: 'compare',
  };
}
