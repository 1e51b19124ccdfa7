/**
 * What can be had and what is here: the list with the user's own entries, the Hub's cache, and how this window speaks
 * with the Hub.
 */
import { join } from 'node:path';
import * as vscode from 'vscode';
import { loadCatalogue } from '../../hub/catalogue.ts';
import {
  environmentCacheDir,
  environmentEndpoint,
  environmentOffline,
  environmentToken,
} from '../../hub/environment.ts';
import { overview, type OverviewRow } from '../../hub/overview.ts';
import type { Catalogue, HubOptions } from '../../hub/types.ts';
import { section, setting } from '../settings.ts';
import { AccessToken } from './accessToken.ts';
import { checkEntries, readEntries, writeEntries } from './userEntries.ts';
import { type Log, showWarning } from '../show.ts';

export class HubModels implements vscode.Disposable {
  /** Where the engine processes read the user's entries (SPRING_MODELS). */
  readonly entriesFile: string;
  readonly token: AccessToken;
  readonly #extensionFolder: string;
  readonly #log: Log;
  readonly #changes = new vscode.EventEmitter<void>();
  /** The list, the cache or the way to the Hub is another. */
  readonly onDidChange = this.#changes.event;
  readonly #listener: vscode.Disposable;
  #catalogue: Catalogue = loadCatalogue();
  #unreachable = false;

  constructor(context: vscode.ExtensionContext, log: Log) {
    this.#log = log;
    this.#extensionFolder = context.extensionUri.fsPath;
    this.entriesFile = join(context.globalStorageUri.fsPath, 'models.json');
    this.token = new AccessToken(context.secrets, () => this.endpoint);
    this.#readEntries();
    this.#listener = vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration(`${section}.models`)) this.#readEntries();
      else if (!event.affectsConfiguration(`${section}.hubEndpoint`)) return;
      this.changed();
    });
  }

  /** The shipped list with the user's entries. */
  get catalogue(): Catalogue {
    return this.#catalogue;
  }

  get endpoint(): string {
    return (setting('hubEndpoint').trim() || environmentEndpoint()).replace(/\/+$/, '');
  }

  get cacheDir(): string {
    return environmentCacheDir();
  }

  /** The user forbids the network (HF_HUB_OFFLINE), or the Hub did not answer the last time. */
  get offline(): boolean {
    return environmentOffline() || this.#unreachable;
  }

  /** Remembers whether the Hub answered. */
  noteReachable(reachable: boolean): void {
    const unreachable = !reachable;
    if (this.#unreachable === unreachable) return;
    this.#unreachable = unreachable;
    this.#changes.fire();
  }

  /** How to speak with the Hub. The token is asked for at each download and goes to the Hub alone. */
  options(signal?: AbortSignal): HubOptions {
    return {
      endpoint: this.endpoint,
      cacheDir: this.cacheDir,
      // VS Code's own in the extension host: it goes through the proxies that VS Code is configured for.
      fetch: (input, init) => globalThis.fetch(input, init),
      token: () => this.#token(),
      ...(signal && { signal }),
    };
  }

  /** Whether a token would be sent. */
  async hasToken(): Promise<boolean> {
    return (await this.#token()) !== undefined;
  }

  /** The environment's token is for the environment's Hub, not for another one that a setting names. */
  async #token(): Promise<string | undefined> {
    const ofEnvironment = URL.parse(this.endpoint)?.origin === URL.parse(environmentEndpoint())?.origin;
    return (await this.token.get()) ?? (ofEnvironment ? environmentToken() : undefined);
  }

  /** What can be had, and what of it is on this machine. Looks at the disk alone. */
  rows(): Promise<OverviewRow[]> {
    return overview({
      catalogue: this.#catalogue,
      cacheDir: this.cacheDir,
      extensionFolder: this.#extensionFolder,
    });
  }

  /** Tells the views to look again. */
  changed(): void {
    this.#changes.fire();
  }

  dispose(): void {
    this.#listener.dispose();
    this.#changes.dispose();
  }

  #readEntries(): void {
    const outside = checkEntries(readEntries(process.env['SPRING_MODELS'])).entries;
    const { entries, problems } = checkEntries(setting('models'));
    const all = [...outside, ...entries];
    this.#catalogue = loadCatalogue(all);
    writeEntries(this.entriesFile, all);
    for (const problem of problems) {
      this.#log.warn(`${section}.models: ${problem}`);
      const open = vscode.l10n.t('Open Settings');
      void showWarning(vscode.l10n.t('An entry of springRag.models is left out. {0}', problem), open).then(
        (chosen) => {
          if (chosen === open)
            void vscode.commands.executeCommand('workbench.action.openSettings', `${section}.models`);
        },
      );
    }
  }
}
