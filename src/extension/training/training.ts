/** Training in VS Code: the command, the panel, the status bar, and runs that were interrupted. */
import { dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { UserError } from '../../protocol/errors.ts';
import type { TrainingPanelState } from '../../protocol/trainingPanel.ts';
import { registerAll } from '../commands.ts';
import type { TrainingParts } from './parts.ts';
import { askForData, askForLearningRate, askForLength, askForModel, askForTokens } from './questions.ts';
import { makeQuestions } from './questionsFromDocuments.ts';
import { createRun, isUnfinished, readStoredRun, type StoredRun, storedRuns } from './runFolders.ts';
import { settingsOfRun, validationShareOf } from './settingsOfRun.ts';
import { TrainingPanel, trainingPanelType } from './trainingPanel.ts';
import { TrainingSession } from './trainingSession.ts';
import { TrainingStatusItem } from './trainingStatusItem.ts';
import { showError, showInformation } from '../show.ts';

/** Finished runs whose tokens are offered as embedding files. */
const mostOfferedRuns = 20;
/** The engine of a window that was reloaded needs a moment to end. */
const reloadDelayMs = 2000;

export class Training implements vscode.Disposable {
  readonly #parts: TrainingParts;
  readonly #root: string;
  readonly #status = new TrainingStatusItem();
  readonly #disposables: { dispose: () => unknown }[];
  #session: TrainingSession | null = null;
  /** To the session's changes. */
  #listening: { dispose: () => void } | null = null;
  #panel: TrainingPanel | null = null;

  constructor(parts: TrainingParts) {
    this.#parts = parts;
    this.#root = join(parts.context.globalStorageUri.fsPath, 'training');
    const commands: Record<string, (...values: never[]) => unknown> = {
      trainTokens: () => this.#train(),
      trainOnFile: (uri?: vscode.Uri) => this.#trainOnFile(uri),
      showTraining: () => this.#showTraining(),
      pauseTraining: () => this.#session?.pause(),
      resumeTraining: () => this.#resume(),
    };
    this.#disposables = [
      this.#status,
      registerAll(commands, parts.log),
      vscode.window.registerWebviewPanelSerializer(trainingPanelType, {
        deserializeWebviewPanel: (panel, stored: unknown) => this.#restore(panel, stored),
      }),
    ];
    void this.#lookForRuns();
  }

  dispose(): void {
    vscode.Disposable.from(...this.#disposables).dispose();
    this.#panel?.dispose();
  }

  async #train(): Promise<void> {
    this.#refuseWhileBusy();
    const choice = await askForData();
    if (!choice) return;
    const model = await askForModel(this.#parts);
    if (!model) return;
    if (choice.kind === 'file') {
      await this.#configure(choice.uri, model);
      return;
    }
    const selection = { model: model.id, passages: choice.passages };
    const uri = await makeQuestions(this.#parts, join(this.#root, '..', 'training-data'), selection);
    if (uri) await this.#review(uri, model);
  }

  /** Shows made questions; training starts when the user says that they are good. */
  async #review(uri: vscode.Uri, model: TrainedModel): Promise<void> {
    await vscode.window.showTextDocument(uri, { preview: false });
    const train = vscode.l10n.t('Train on These');
    const chosen = await showInformation(
      vscode.l10n.t(
        'Read the questions and answers, one per line; correct or delete what is wrong, then train. Later: the button in the title of the editor.',
      ),
      train,
    );
    if (chosen === train) await this.#configure(uri, model);
  }

  async #trainOnFile(target: vscode.Uri | undefined): Promise<void> {
    this.#refuseWhileBusy();
    const uri = target ?? vscode.window.activeTextEditor?.document.uri;
    if (uri?.scheme !== 'file') throw new UserError(vscode.l10n.t('Open a file of training data first.'));
    const model = await askForModel(this.#parts);
    if (model) await this.#configure(uri, model);
  }

  async #configure(uri: vscode.Uri, model: TrainedModel): Promise<void> {
    const { engines, library, memoryGuard } = this.#parts;
    await vscode.workspace.save(uri);
    const { examples } = await engines.training.request('inspectTrainingData', { file: uri.fsPath });
    const numTokens = await askForTokens();
    if (numTokens === undefined) return;
    const length = await askForLength(examples);
    if (!length) return;
    const learningRate = await askForLearningRate(model);
    if (learningRate === undefined) return;
    await memoryGuard.beforeLoading({ model: model.id, device: 'cpu', precision: 'f32' }, library.models);
    const folder = await createRun(
      this.#root,
      {
        model: model.id,
        modelName: model.name,
        data: vscode.workspace.asRelativePath(uri),
        validationShare: validationShareOf(examples),
        settings: {
          ...settingsOfRun(numTokens, length, examples, model.contextLength),
          learningRate,
        },
        workspace: workspaceKey(),
      },
      uri.fsPath,
    );
    const stored = await readStoredRun(folder);
    if (!stored) throw new Error(`The run ${folder} cannot be read.`);
    this.#open(stored);
    this.#show();
    await this.#start();
  }

  /** Makes a stored run the one of this window. */
  #open(stored: StoredRun): TrainingSession {
    const { engines } = this.#parts;
    const session = new TrainingSession(stored, {
      train: (folder, signal, onProgress) =>
        engines.training.request('train', { folder }, { signal, onProgress }),
      settle: () => engines.training.request('settle', {}),
      finish: (folder) => engines.training.request('finishTraining', { folder }),
    });
    this.#listening?.dispose();
    this.#session = session;
    this.#listening = session.onDidChange((state) => this.#changed(session, state));
    this.#panel?.attach(session);
    this.#changed(session, session.state);
    return session;
  }

  #changed(session: TrainingSession, state: TrainingPanelState): void {
    this.#status.show(state);
    const set = (name: string, value: boolean): void =>
      void vscode.commands.executeCommand('setContext', `springRag.${name}`, value);
    if (session.busy === this.#training && isUnfinished(state.status) === this.#resumable) return;
    set('training', (this.#training = session.busy));
    set('resumable', (this.#resumable = isUnfinished(state.status) && !session.busy));
  }
  #training = false;
  #resumable = false;

  /** Trains; the end is told to those who do not look at the panel. */
  async #start(): Promise<void> {
    const session = this.#session;
    if (!session) return;
    await session.start();
    const { status, path, model } = session.state;
    if (status.kind === 'done') await this.#parts.library.addTokenFile(path);
    if (this.#panel?.visible) return;
    if (status.kind === 'done') {
      const use = vscode.l10n.t('Use in the Comparison');
      const show = vscode.l10n.t('Show');
      const text = vscode.l10n.t('The virtual tokens for {0} are trained.', model);
      const chosen = await showInformation(text, use, show);
      if (chosen === use) await this.#use(path);
      if (chosen === show) this.#show();
    } else if (status.kind === 'failed') {
      await this.#offerResume(showError, status.message);
    }
  }

  async #resume(): Promise<void> {
    const session = this.#session ?? (await this.#latest(({ state }) => isUnfinished(state.status)));
    if (!session || session.busy) return;
    this.#show();
    await this.#start();
  }

  async #showTraining(): Promise<void> {
    const session = this.#session ?? (await this.#latest(() => true));
    if (!session)
      throw new UserError(vscode.l10n.t('Nothing has been trained yet: use "Train Virtual Tokens…".'));
    this.#show();
  }

  async #latest(wanted: (run: StoredRun) => boolean): Promise<TrainingSession | null> {
    const runs = await storedRuns(this.#root);
    const here = runs.filter(({ run }) => run.workspace === workspaceKey());
    const found = [...here, ...runs].find(wanted);
    return found ? this.#open(found) : null;
  }

  #show(): void {
    if (this.#panel) this.#panel.reveal();
    else {
      const title = vscode.l10n.t('SPRING Training');
      this.#attach(vscode.window.createWebviewPanel(trainingPanelType, title, vscode.ViewColumn.Active));
    }
  }

  #attach(panel: vscode.WebviewPanel): void {
    const { context, log } = this.#parts;
    const session = this.#session;
    if (!session) return;
    const actions = { use: (path: string) => this.#use(path), showLog: () => log.show() };
    this.#panel = new TrainingPanel(panel, session, actions, context.extensionUri, log);
    panel.onDidDispose(() => (this.#panel = null));
  }

  /** After a reload: the panel kept the path of the tokens, which lie in the folder of the run. */
  async #restore(panel: vscode.WebviewPanel, stored: unknown): Promise<void> {
    const path = (stored as { path?: unknown } | null)?.path;
    const folder = typeof path === 'string' ? dirname(path) : '';
    const run = dirname(folder) === this.#root ? await readStoredRun(folder) : null;
    if (run && this.#session?.folder !== folder) this.#open(run);
    // What the panel kept may not have been stored in time.
    else if (!run && !this.#session) await this.#latest(() => true);
    if (this.#panel || !this.#session) panel.dispose();
    else this.#attach(panel);
  }

  /** Selects the tokens, and the model that they were trained for, and opens the comparison. */
  async #use(path: string): Promise<void> {
    const { session } = this.#parts;
    const model = this.#session?.run.model;
    if (model !== undefined && session.state.inputs.model !== model) {
      await vscode.commands.executeCommand('springRag.useModel', model);
    }
    await vscode.commands.executeCommand('springRag.useTokenFile', { path });
  }

  /** At the start of the window: trained tokens become known, and a run of this workspace can go on. */
  async #lookForRuns(): Promise<void> {
    let runs = await storedRuns(this.#root);
    if (runs.length === 0) return;
    const written = runs.flatMap(({ state: { status, path } }) =>
      status.kind === 'done'
        ? [path]
        : status.kind === 'stopped' && status.path !== null
          ? [status.path]
          : [],
    );
    for (const path of written.slice(0, mostOfferedRuns)) {
      // Refused in an untrusted workspace, and gone if the user removed it.
      await this.#parts.library.addTokenFile(path).catch(() => undefined);
    }
    await new Promise((resolve) => setTimeout(resolve, reloadDelayMs));
    runs = await storedRuns(this.#root);
    const found = runs.find(({ run }) => run.workspace === workspaceKey());
    if (!found || !isUnfinished(found.state.status) || this.#session?.busy) return;
    // Meanwhile the user may have opened another one.
    if (this.#session && this.#session.folder !== found.folder) return;
    if (!this.#session) this.#open(found);
    // A run that the user paused is in the status bar; that is enough.
    if (!found.interrupted) return;
    const { model, step, settings } = found.state;
    await this.#offerResume(
      showInformation,
      vscode.l10n.t('Training for {0} was interrupted after step {1} of {2}.', model, step, settings.steps),
    );
  }

  async #offerResume(
    show: (message: string, ...items: string[]) => Thenable<string | undefined>,
    message: string,
  ): Promise<void> {
    const resume = vscode.l10n.t('Resume');
    const showPanel = vscode.l10n.t('Show');
    const chosen = await show(message, resume, showPanel);
    if (chosen === resume) await this.#resume();
    if (chosen === showPanel) this.#show();
  }

  #refuseWhileBusy(): void {
    if (!this.#session?.busy) return;
    this.#show();
    throw new UserError(vscode.l10n.t('A training runs already: pause or stop it first.'));
  }
}

type TrainedModel = NonNullable<Awaited<ReturnType<typeof askForModel>>>;

function workspaceKey(): string | null {
  return vscode.workspace.workspaceFolders?.[0]?.uri.toString() ?? null;
}
