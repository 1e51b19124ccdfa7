/** The webview of a comparison: its page, its messages, and what VS Code does for it. */
import * as vscode from 'vscode';
import { panelIcon } from '../icons.ts';
import { CancelledError, messageOf, UserError } from '../../protocol/errors.ts';
import type {
  HostToPanel,
  PanelError,
  PanelRequestName,
  PanelRequests,
  PanelToHost,
} from '../../protocol/panel.ts';
import type { ComparisonSession } from './comparisonSession.ts';
import { panelPage } from './html.ts';
import { comparisonMarkdown } from './markdown.ts';
import { showStatus, type Log } from '../show.ts';

export const panelType = 'springRag.comparison';

/** What the panel asks for that is not the session's own. */
export interface PanelActions {
  openPassage: (id: string) => Promise<void>;
  addPassageFromEditor: () => Promise<void>;
  pickTokenFile: () => Promise<boolean>;
  pickModel: () => Promise<boolean>;
  saveRecord: () => Promise<string | null>;
  openRecord: () => Promise<boolean>;
  runAction: (action: PanelRequests['runAction']['params']['action']) => Promise<void>;
}

/** One function per request; those whose reply is null return nothing. */
type RequestHandlers = {
  [Name in PanelRequestName]: (
    params: PanelRequests[Name]['params'],
  ) => [PanelRequests[Name]['result']] extends [null]
    ? void | Promise<void>
    : Promise<PanelRequests[Name]['result']>;
};

export class PanelHost implements vscode.Disposable {
  readonly #panel: vscode.WebviewPanel;
  readonly #session: ComparisonSession;
  readonly #log: Log;
  readonly #handlers: RequestHandlers;

  constructor(
    panel: vscode.WebviewPanel,
    session: ComparisonSession,
    actions: PanelActions,
    extensionUri: vscode.Uri,
    log: Log,
  ) {
    this.#panel = panel;
    this.#session = session;
    this.#log = log;
    this.#handlers = this.#requestHandlers(actions);
    const assets = vscode.Uri.joinPath(extensionUri, 'dist', 'webview');
    const { webview } = panel;
    webview.options = { enableScripts: true, localResourceRoots: [assets] };
    panel.iconPath = panelIcon(extensionUri);
    webview.onDidReceiveMessage((message: PanelToHost) => this.#answer(message));
    webview.html = panelPage({
      title: panel.title,
      language: vscode.env.language,
      source: webview.cspSource,
      scriptUri: webview.asWebviewUri(vscode.Uri.joinPath(assets, 'panel.js')).toString(),
      styleUri: webview.asWebviewUri(vscode.Uri.joinPath(assets, 'panel.css')).toString(),
    });
    panel.onDidDispose(() => session.store.connect(null));
  }

  reveal(): void {
    this.#panel.reveal();
  }

  focus(target: 'question' | 'passages' | 'token-file'): void {
    this.#panel.reveal();
    this.#post({ type: 'focus', target });
  }

  dispose(): void {
    this.#panel.dispose();
  }

  #post(message: HostToPanel): void {
    void this.#panel.webview.postMessage(message);
  }

  async #answer(message: PanelToHost): Promise<void> {
    if (typeof message !== 'object' || !Object.hasOwn(this.#handlers, message.name)) return;
    const { id, name, params } = message;
    try {
      const handler = this.#handlers[name] as (given: typeof params) => unknown;
      const result = ((await handler(params)) ?? null) as PanelRequests[PanelRequestName]['result'];
      this.#post({ type: 'reply', id, ok: true, result });
    } catch (error) {
      const panelError = asPanelError(error);
      if (panelError.kind === 'unexpected')
        this.#log.error(error instanceof Error ? error : messageOf(error));
      this.#post({ type: 'reply', id, ok: false, error: panelError });
    }
  }

  #requestHandlers(actions: PanelActions): RequestHandlers {
    const session = this.#session;
    return {
      ready: () => session.store.connect((message) => this.#post(message)),
      edit: (changes) => session.edit(changes),
      // The run's end is in the state; an empty question is an error of the request.
      ask: ({ question }) => startRun(session.ask(question)),
      rerun: () => startRun(session.rerun()),
      cancel: () => session.cancel(),
      tickPassages: ({ ids }) => session.tick(ids),
      addPassage: ({ text }) => session.addPassage({ text }, 'by-hand'),
      addPassageFromEditor: () => actions.addPassageFromEditor(),
      removePassage: ({ id }) => session.removePassage(id),
      movePassage: ({ id, to }) => session.movePassage(id, to),
      openPassage: ({ id }) => actions.openPassage(id),
      pickTokenFile: () => actions.pickTokenFile(),
      pickModel: () => actions.pickModel(),
      copyMarkdown: async () => {
        await vscode.env.clipboard.writeText(comparisonMarkdown(session.state));
        showStatus(vscode.l10n.t('SPRING: the comparison is on the clipboard'), 5000);
      },
      copyText: ({ text }) => Promise.resolve(vscode.env.clipboard.writeText(text)),
      saveRecord: () => actions.saveRecord(),
      openRecord: () => actions.openRecord(),
      runAction: ({ action }) => actions.runAction(action),
      dismissNotice: ({ id }) => session.dismissNotice(id),
    };
  }
}

/** Waits only until it is clear that the run has started, or could not. */
async function startRun(run: Promise<void>): Promise<void> {
  await Promise.race([run, new Promise((resolve) => setImmediate(resolve))]);
  run.catch(() => undefined);
}

function asPanelError(error: unknown): PanelError {
  if (error instanceof CancelledError) return { kind: 'cancelled', message: error.message };
  return { kind: error instanceof UserError ? 'user' : 'unexpected', message: messageOf(error) };
}
