/** The index of this window's workspace: opened in the engine, kept up to date, searched. */
import * as vscode from 'vscode';
import type {
  IndexFileError,
  IndexLocation,
  IndexProgress,
  IndexSummary,
  OpenText,
  SearchHit,
} from '../protocol/engine.ts';
import { CancelledError, messageOf, throwIfCancelled } from '../protocol/errors.ts';
import type { IndexState } from '../protocol/panel.ts';
import { ChangeQueue } from '../retrieval/watch/changeQueue.ts';
import type { Engines } from './engines.ts';
import { indexOptions, section, setting } from './settings.ts';
import { showWarning, type Log } from './show.ts';

/** When changes become an update: after half a second of quiet; a branch switch looks at everything once. */
const watching = { quiet: 500, atMost: 5000, many: 200 };

export class IndexService implements vscode.Disposable {
  readonly #engines: Engines;
  readonly #storage: vscode.Uri | undefined;
  readonly #log: Log;
  readonly #changes = new vscode.EventEmitter<IndexState>();
  readonly onDidChange = this.#changes.event;
  readonly #disposables: { dispose: () => unknown }[] = [this.#changes];
  #state: IndexState = { kind: 'none' };
  #errors: IndexFileError[] = [];
  #notice = '';
  /** Whether this session has looked at all files: what changed while the window was closed is known. */
  #isCaughtUp = false;
  #running: Promise<void> | null = null;
  #abort: AbortController | null = null;
  readonly #queue = new ChangeQueue({ ...watching, update: (paths) => this.#takeChanges(paths) });

  constructor(engines: Engines, storage: vscode.Uri | undefined, log: Log) {
    this.#engines = engines;
    this.#storage = storage;
    this.#log = log;
    engines.index.initialise = async (request) => {
      const location = await this.#location();
      if (location) this.#show(await request('openIndex', location));
    };
    this.#disposables.push(
      vscode.workspace.onDidChangeWorkspaceFolders(() => void this.reopen()),
      vscode.workspace.onDidChangeConfiguration((event) => {
        const names = [`${section}.index`, 'search.followSymlinks'];
        if (names.some((name) => event.affectsConfiguration(name))) void this.reopen();
      }),
      vscode.workspace.onDidGrantWorkspaceTrust(() => void this.reopen()),
    );
    this.#watch();
  }

  get state(): IndexState {
    return this.#state;
  }

  /** Files that could not be indexed, with reasons. */
  get errors(): readonly IndexFileError[] {
    return this.#errors;
  }

  /** Opens the index that is there; builds nothing. */
  async open(): Promise<void> {
    if (this.#folders().length === 0) {
      this.#set({ kind: 'no-folder' });
      return;
    }
    try {
      const location = await this.#location();
      // A fresh process opens the index by itself (initialise); for one that runs already this is the request.
      if (location) this.#show(await this.#engines.index.request('openIndex', location));
    } catch (error) {
      this.#fail(error);
    }
  }

  /** When the window opens: the index that is there, and what changed meanwhile. */
  async start(): Promise<void> {
    await this.open();
    await this.#catchUp();
  }

  /** After the folders or the settings changed. */
  async reopen(): Promise<void> {
    this.#abort?.abort();
    this.#isCaughtUp = false;
    await this.start();
  }

  /** An index that is there is brought up to date once, one that was set aside is built anew. */
  async #catchUp(signal?: AbortSignal): Promise<void> {
    const isThere = this.#state.kind === 'ready' || (this.#state.kind === 'none' && this.#notice !== '');
    if (this.#isCaughtUp || !isThere || !setting('index.automatic')) return;
    await this.update(false, signal);
  }

  /** Brings the index up to date, with progress and cancel. Resolves when it has ended, however it did. */
  update(rebuild: boolean, signal?: AbortSignal): Promise<void> {
    this.#running ??= this.#update((abort, onProgress) =>
      this.#engines.index.request(
        'updateIndex',
        { rebuild, openTexts: unsavedTexts() },
        { signal: abort, onProgress },
      ),
    ).finally(() => (this.#running = null));
    const running = this.#running;
    signal?.addEventListener('abort', () => this.cancel(), { once: true });
    return running;
  }

  cancel(): void {
    this.#abort?.abort();
  }

  /**
   * Waits for an index that can be searched and knows what changed while the window was closed, building it if there
   * is none and that may be done unasked.
   */
  async ensureIndexed(signal: AbortSignal): Promise<IndexState> {
    throwIfCancelled(signal);
    if (this.#state.kind === 'none') await this.open();
    if (this.#running) await Promise.race([this.#running, aborted(signal)]);
    if (this.#state.kind === 'none' && setting('index.automatic')) await this.update(false, signal);
    else await this.#catchUp(signal);
    throwIfCancelled(signal);
    return this.#state;
  }

  search(query: string, count: number, signal?: AbortSignal): Promise<SearchHit[]> {
    return this.#engines.index.request('search', { query, count }, { signal });
  }

  dispose(): void {
    this.#abort?.abort();
    void this.#queue.close();
    vscode.Disposable.from(...this.#disposables).dispose();
  }

  async #update(
    run: (signal: AbortSignal, onProgress: (progress: IndexProgress) => void) => Promise<IndexSummary>,
  ): Promise<void> {
    if (this.#folders().length === 0) {
      this.#set({ kind: 'no-folder' });
      return;
    }
    const abort = new AbortController();
    this.#abort = abort;
    this.#set({ kind: 'indexing', filesDone: 0, filesTotal: null, chunks: 0 });
    try {
      this.#show(await run(abort.signal, (progress) => this.#set({ kind: 'indexing', ...progress })));
      this.#isCaughtUp = true;
    } catch (error) {
      if (error instanceof CancelledError) await this.open();
      else this.#fail(error);
    } finally {
      if (this.#abort === abort) this.#abort = null;
    }
  }

  /** Follows files on disk, and editors with unsaved changes. */
  #watch(): void {
    const watcher = vscode.workspace.createFileSystemWatcher('**/*');
    const onChange = (uri: vscode.Uri): void => {
      if (uri.scheme !== 'file' || this.#state.kind === 'none' || this.#state.kind === 'no-folder') return;
      if (!setting('index.automatic', uri) || /[\\/](\.git|node_modules)[\\/]/.test(uri.path)) return;
      if (vscode.workspace.getWorkspaceFolder(uri)) this.#queue.add(uri.fsPath);
    };
    this.#disposables.push(
      watcher,
      watcher.onDidChange(onChange),
      watcher.onDidCreate(onChange),
      watcher.onDidDelete(onChange),
      vscode.workspace.onDidChangeTextDocument(({ document }) => onChange(document.uri)),
      vscode.workspace.onDidCloseTextDocument((document) => onChange(document.uri)),
    );
  }

  async #takeChanges(paths: readonly string[] | undefined): Promise<void> {
    if (this.#running) await this.#running;
    if (!paths) {
      await this.update(false);
      return;
    }
    const openTexts = unsavedTexts().filter(({ path }) => paths.includes(path));
    try {
      this.#show(await this.#engines.index.request('updateFiles', { paths: [...paths], openTexts }));
    } catch (error) {
      this.#log.warn(`Changed files could not be indexed: ${messageOf(error)}`);
    }
  }

  async #location(): Promise<IndexLocation | null> {
    const folders = this.#folders();
    if (folders.length === 0 || !this.#storage) return null;
    await vscode.workspace.fs.createDirectory(this.#storage);
    return indexLocation(this.#storage, folders);
  }

  /** Folders on this machine's disk; those of virtual file systems cannot be read by the engine. */
  #folders(): vscode.Uri[] {
    return (vscode.workspace.workspaceFolders ?? [])
      .map(({ uri }) => uri)
      .filter(({ scheme }) => scheme === 'file');
  }

  #show(summary: IndexSummary): void {
    const known = new Set(this.#errors.map(({ path, message }) => path + message));
    for (const { path, kind, message } of summary.errors) {
      if (known.has(path + message)) continue;
      this.#log.warn(`${path} is ${kind === 'partlyRead' ? 'indexed in part' : 'not indexed'}: ${message}`);
    }
    if (summary.notice !== undefined && summary.notice !== this.#notice) this.#tell(summary.notice);
    this.#errors = summary.errors;
    if (summary.updatedAt === null) {
      this.#set({ kind: 'none' });
      return;
    }
    const { files, chunks, updatedAt, contentHash, errors } = summary;
    this.#set({ kind: 'ready', files, chunks, updatedAt, contentHash, errors: errors.length });
  }

  /** A damaged index was set aside: whoever asks next is answered from the new one. */
  #tell(notice: string): void {
    this.#notice = notice;
    this.#isCaughtUp = false;
    this.#log.warn(notice);
    void showWarning(
      vscode.l10n.t(
        'The index was damaged or outdated and is built anew. The log says where the old file is.',
      ),
    );
  }

  #fail(error: unknown): void {
    this.#log.error(`Index: ${messageOf(error)}`);
    this.#set({
      kind: 'failed',
      message: messageOf(error),
      actions: [
        { label: 'Index Workspace', action: 'index-workspace' },
        { label: 'Show Log', action: 'show-log' },
      ],
    });
  }

  #set(state: IndexState): void {
    this.#state = state;
    this.#changes.fire(state);
  }
}

/** Editors with unsaved changes. */
function unsavedTexts(): OpenText[] {
  return vscode.workspace.textDocuments
    .filter(({ isDirty, uri }) => isDirty && uri.scheme === 'file')
    .map((document) => ({ path: document.uri.fsPath, text: document.getText() }));
}

function indexLocation(storage: vscode.Uri, folders: vscode.Uri[]): IndexLocation {
  return {
    indexFile: vscode.Uri.joinPath(storage, 'index.sqlite').fsPath,
    folders: folders.map(({ fsPath }) => fsPath),
    options: indexOptions(folders[0]!),
  };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new CancelledError()), { once: true });
  });
}
