/** Which models and embedding files this window knows. Files are looked at by the engine, never here. */
import { isAbsolute } from 'node:path';
import * as vscode from 'vscode';
import { ggufChoices } from '../hub/ggufNames.ts';
import type { ModelInfo, TokenFileInfo } from '../protocol/comparison.ts';
import { EngineStoppedError } from '../engine/supervisor.ts';
import type { LocalModel } from '../protocol/localModels.ts';
import { messageOf, UserError } from '../protocol/errors.ts';
import type { Engines } from './engines.ts';
import type { Choices } from './panel/comparisonSession.ts';
import { isOfWorkspace, section, setting } from './settings.ts';
import { type Log } from './show.ts';

export const demoModel = 'demo';
const usedModelsKey = 'springRag.usedModels';
const usedTokenFilesKey = 'springRag.usedTokenFiles';
/** Of each. */
const mostUsed = 10;
/** More embedding files than this are not looked for in a workspace. */
const mostWorkspaceFiles = 50;
/** Times that everything is looked at if the engine ends meanwhile; each file may end it twice. */
const mostAttempts = 20;

export class Library implements vscode.Disposable {
  readonly #engines: Engines;
  readonly #extensionUri: vscode.Uri;
  readonly #log: Log;
  readonly #changes = new vscode.EventEmitter<void>();
  readonly onDidChange = this.#changes.event;
  readonly #listeners: vscode.Disposable[] = [];
  /** Survives this window: models and embedding files that were chosen by hand. */
  readonly #memory: vscode.Memento;
  #models: ModelInfo[] = [];
  #tokenFiles: TokenFileInfo[] = [];
  #refreshing: Promise<void> | null = null;

  constructor(
    engines: Engines,
    { extensionUri, globalState }: Pick<vscode.ExtensionContext, 'extensionUri' | 'globalState'>,
    log: Log,
  ) {
    this.#engines = engines;
    this.#extensionUri = extensionUri;
    this.#memory = globalState;
    this.#log = log;
    this.#listeners.push(
      vscode.workspace.onDidChangeConfiguration((event) => {
        const names = ['model', 'modelFolders', 'tokenFile', 'tokenFileFolders'];
        if (names.some((name) => event.affectsConfiguration(`${section}.${name}`))) void this.refresh();
      }),
      vscode.workspace.onDidGrantWorkspaceTrust(() => void this.refresh()),
    );
  }

  get models(): readonly ModelInfo[] {
    return this.#models;
  }

  get tokenFiles(): readonly TokenFileInfo[] {
    return this.#tokenFiles;
  }

  /** Resolves when there has been one look at everything. */
  async known(): Promise<void> {
    if (this.#models.length === 0) await this.refresh();
  }

  /** Looks again at everything that the settings and the workspace name. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  /** Looks at one embedding file and adds it to the known ones. */
  async addTokenFile(path: string): Promise<TokenFileInfo> {
    if (!this.#tokenFiles.some((file) => file.path === path)) refuseUnlessTrusted(path);
    const [info] = await this.#engines.index.request('inspectTokenFiles', { paths: [path] });
    await this.noteChosen({ tokenFile: path });
    this.#tokenFiles = [...this.#tokenFiles.filter((file) => file.path !== path), info!];
    this.#changes.fire();
    return info!;
  }

  /** A file that was removed is not looked for any more. */
  async forgetTokenFile(path: string): Promise<void> {
    await this.#memory.update(
      usedTokenFilesKey,
      this.#used(usedTokenFilesKey).filter((used) => used !== path),
    );
  }

  /** Looks at one model (`demo`, a name of the list, a folder, a GGUF file, a model of another program). */
  async inspectModel(model: string): Promise<ModelInfo> {
    // A name, other than a path, means nothing of the workspace's.
    if (isAbsolute(model) && !this.#models.some(({ id }) => id === model)) refuseUnlessTrusted(model);
    const [info] = await this.#engines.index.request('inspectModels', { models: [model] });
    return info!;
  }

  /** What was chosen stays listed when another is used, and so does what the user's settings name until then. */
  async noteChosen({ model, tokenFile }: Choices): Promise<void> {
    const earlier = (name: 'model' | 'tokenFile'): string => (isOfWorkspace(name) ? '' : setting(name));
    if (model) for (const used of [earlier('model'), model]) await this.#noteUsed(usedModelsKey, used);
    if (!tokenFile) return;
    for (const used of [earlier('tokenFile'), tokenFile]) await this.#noteUsed(usedTokenFilesKey, used);
  }

  async #noteUsed(key: string, value: string): Promise<void> {
    if (value === '') return;
    const others = this.#used(key).filter((used) => used !== value);
    await this.#memory.update(key, [value, ...others].slice(0, mostUsed));
  }

  #used(key: string): string[] {
    return this.#memory.get<string[]>(key, []);
  }

  /** Models in GGUF files that other programs have put on this machine. */
  async localModels(): Promise<LocalModel[]> {
    try {
      return await this.#engines.index.request('listLocalModels', {});
    } catch (error) {
      this.#log.error(`Models of other programs could not be listed: ${messageOf(error)}`);
      return [];
    }
  }

  dispose(): void {
    vscode.Disposable.from(...this.#listeners).dispose();
    this.#changes.dispose();
  }

  /** A file that ends the engine is not opened a third time: then all others can be looked at. */
  async #refresh(): Promise<void> {
    for (let attempt = 1; attempt <= mostAttempts; attempt++) {
      try {
        await this.#look();
        break;
      } catch (error) {
        const again = error instanceof EngineStoppedError && this.#engines.index.state === 'restarting';
        if (again && attempt < mostAttempts) continue;
        this.#log.error(`Models and embedding files could not be listed: ${messageOf(error)}`);
        break;
      }
    }
    this.#changes.fire();
  }

  async #look(): Promise<void> {
    const installed = await this.#engines.index.request('listInstalled', {});
    const listed = [demoModel, setting('model'), ...installed.models, ...(await this.#modelFolders())];
    const models = [...new Set([...listed, ...this.#used(usedModelsKey)])];
    const demoTokens = vscode.Uri.joinPath(this.#extensionUri, 'media', 'demo', 'spring-50.pt').fsPath;
    const named = [demoTokens, setting('tokenFile'), ...installed.tokenFiles].filter((path) => path !== '');
    // Known from an earlier choice; in a workspace that is not trusted only what the user's settings name is opened.
    const used = vscode.workspace.isTrusted ? this.#used(usedTokenFilesKey) : [];
    const found = await this.#foundTokenFiles();
    const [modelInfos, tokenFileInfos] = await Promise.all([
      this.#engines.index.request('inspectModels', { models }),
      this.#engines.index.request('inspectTokenFiles', {
        paths: [...new Set([...named, ...used, ...found])],
      }),
    ]);
    // A model that was used once and is gone is not news for the user.
    this.#models = modelInfos.filter(({ id, problem }) => problem === undefined || listed.includes(id));
    // A file that was only found and is something else (a checkpoint, say) is not news for the user.
    this.#tokenFiles = tokenFileInfos.filter(
      ({ path, problem }) => problem === undefined || named.includes(path),
    );
  }

  /** Subfolders (or the folder itself) with a config.json, and the GGUF files in them. */
  async #modelFolders(): Promise<string[]> {
    const found: string[] = [];
    for (const folder of setting('modelFolders')) {
      const uri = vscode.Uri.file(folder);
      const inside = (await entriesOf(uri)).filter(([, type]) => type & vscode.FileType.Directory);
      for (const candidate of [uri, ...inside.map(([name]) => vscode.Uri.joinPath(uri, name))]) {
        const entries = await entriesOf(candidate);
        if (entries.some(([name]) => name === 'config.json')) found.push(candidate.fsPath);
        const files = ggufChoices(entries.map(([path]) => ({ path })));
        found.push(...files.map(({ path }) => vscode.Uri.joinPath(candidate, path).fsPath));
      }
    }
    return found;
  }

  async #foundTokenFiles(): Promise<string[]> {
    const found: string[] = [];
    for (const folder of setting('tokenFileFolders')) {
      const uri = vscode.Uri.file(folder);
      for (const [name] of await entriesOf(uri)) {
        if (/\.(pt|bin|safetensors)$/.test(name)) found.push(vscode.Uri.joinPath(uri, name).fsPath);
      }
    }
    if (vscode.workspace.isTrusted) {
      const uris = await vscode.workspace.findFiles(
        '**/*.{pt,safetensors}',
        '**/node_modules/**',
        mostWorkspaceFiles,
      );
      found.push(...uris.filter(({ scheme }) => scheme === 'file').map(({ fsPath }) => fsPath));
    }
    return found;
  }
}

async function entriesOf(folder: vscode.Uri): Promise<[string, vscode.FileType][]> {
  try {
    return await vscode.workspace.fs.readDirectory(folder);
  } catch {
    return []; // a folder of the settings that is not there (any more)
  }
}

/** Files of an untrusted workspace are not opened as models; those known from the user's own settings are. */
function refuseUnlessTrusted(path: string): void {
  if (vscode.workspace.isTrusted) return;
  throw new UserError(
    vscode.l10n.t(
      'This workspace is not trusted, so {0} is not opened. Trust the workspace (command "Workspaces: Manage Workspace Trust"), then choose it again.',
      path,
    ),
  );
}
