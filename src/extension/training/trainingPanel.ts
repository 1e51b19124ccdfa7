/** The webview of a training run. */
import * as vscode from 'vscode';
import { panelIcon } from '../icons.ts';
import { CancelledError, messageOf, UserError } from '../../protocol/errors.ts';
import type {
  HostToTrainingPanel,
  TrainingPanelRequests,
  TrainingPanelToHost,
} from '../../protocol/trainingPanel.ts';
import { panelPage } from '../panel/html.ts';
import type { TrainingSession } from './trainingSession.ts';
import { type Log } from '../show.ts';

export const trainingPanelType = 'springRag.training';

/** What the panel asks for that is not the session's own. */
export interface TrainingPanelActions {
  use: (path: string) => Promise<void>;
  showLog: () => void;
}

export class TrainingPanel implements vscode.Disposable {
  readonly #panel: vscode.WebviewPanel;
  readonly #actions: TrainingPanelActions;
  readonly #log: Log;
  #session: TrainingSession;
  #ready = false;

  constructor(
    panel: vscode.WebviewPanel,
    session: TrainingSession,
    actions: TrainingPanelActions,
    extensionUri: vscode.Uri,
    log: Log,
  ) {
    this.#panel = panel;
    this.#session = session;
    this.#actions = actions;
    this.#log = log;
    const assets = vscode.Uri.joinPath(extensionUri, 'dist', 'webview');
    const { webview } = panel;
    webview.options = { enableScripts: true, localResourceRoots: [assets] };
    panel.iconPath = panelIcon(extensionUri);
    webview.onDidReceiveMessage((message: TrainingPanelToHost) => this.#answer(message));
    panel.onDidDispose(() => this.#session.connect(null));
    webview.html = panelPage({
      title: panel.title,
      language: vscode.env.language,
      source: webview.cspSource,
      scriptUri: webview.asWebviewUri(vscode.Uri.joinPath(assets, 'training.js')).toString(),
      styleUri: webview.asWebviewUri(vscode.Uri.joinPath(assets, 'training.css')).toString(),
      mainId: 'training',
    });
  }

  get visible(): boolean {
    return this.#panel.visible;
  }

  /** Shows another run. */
  attach(session: TrainingSession): void {
    this.#session.connect(null);
    this.#session = session;
    if (this.#ready) session.connect((message) => this.#post(message));
  }

  reveal(): void {
    this.#panel.reveal();
  }

  dispose(): void {
    this.#panel.dispose();
  }

  #post(message: HostToTrainingPanel): void {
    void this.#panel.webview.postMessage(message);
  }

  async #answer(message: TrainingPanelToHost): Promise<void> {
    if (typeof message !== 'object' || !Object.hasOwn(this.#handlers, message.name)) return;
    const { id, name } = message;
    try {
      await this.#handlers[name]();
      this.#post({ type: 'reply', id, ok: true, result: null });
    } catch (error) {
      const kind =
        error instanceof CancelledError ? 'cancelled' : error instanceof UserError ? 'user' : 'unexpected';
      if (kind === 'unexpected') this.#log.error(error instanceof Error ? error : messageOf(error));
      this.#post({ type: 'reply', id, ok: false, error: { kind, message: messageOf(error) } });
    }
  }

  readonly #handlers: Record<keyof TrainingPanelRequests, () => void | Promise<void>> = {
    ready: () => {
      this.#ready = true;
      this.#session.connect((message) => this.#post(message));
    },
    pause: () => this.#session.pause(),
    // Its end is in the state.
    resume: () => void this.#session.start(),
    stop: () => this.#session.stop(),
    use: () => {
      const { status, path } = this.#session.state;
      const written = status.kind === 'stopped' ? status.path : status.kind === 'done' ? path : null;
      if (written === null) throw new UserError('There are no trained tokens yet.');
      return this.#actions.use(written);
    },
    showLog: () => this.#actions.showLog(),
  };
}
