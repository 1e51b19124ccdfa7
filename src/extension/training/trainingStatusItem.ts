/** The status-bar item of a training run: how far it is; a click opens its panel. */
import * as vscode from 'vscode';
import { plain } from '../harmless.ts';
import type { TrainingPanelState } from '../../protocol/trainingPanel.ts';

export class TrainingStatusItem implements vscode.Disposable {
  readonly #item: vscode.StatusBarItem;

  constructor() {
    this.#item = vscode.window.createStatusBarItem('springRag.training', vscode.StatusBarAlignment.Right, 89);
    this.#item.name = vscode.l10n.t('SPRING Training');
    this.#item.command = 'springRag.showTraining';
  }

  /** Shown while a run goes on or can go on. */
  show({ status, step, settings, steps, model }: TrainingPanelState): void {
    const icon = {
      preparing: 'loading~spin',
      running: 'loading~spin',
      paused: 'debug-pause',
      failed: 'error',
    };
    if (!(status.kind in icon)) {
      this.#item.hide();
      return;
    }
    const loss = steps.at(-1)?.loss;
    this.#item.text = `$(${icon[status.kind as keyof typeof icon]}) ${step}/${settings.steps}`;
    const tooltip = [
      vscode.l10n.t('Training virtual tokens for {0}: step {1} of {2}', model, step, settings.steps),
      ...(loss === undefined ? [] : [vscode.l10n.t('Loss {0}', loss.toFixed(3))]),
      vscode.l10n.t('Click to show'),
    ].join('\n');
    this.#item.tooltip = plain(tooltip);
    this.#item.backgroundColor =
      status.kind === 'failed' ? new vscode.ThemeColor('statusBarItem.errorBackground') : undefined;
    this.#item.show();
  }

  dispose(): void {
    this.#item.dispose();
  }
}
