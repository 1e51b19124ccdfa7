/** Downloads in a notification that can be cancelled, and what to do when one fails. */
import { statfs } from 'node:fs/promises';
import * as vscode from 'vscode';
import { download, type DownloadRequest } from '../../hub/download.ts';
import { formatBytes } from '../../hub/format.ts';
import { HubError } from '../../hub/hubError.ts';
import type { DownloadResult } from '../../hub/types.ts';
import { CancelledError, messageOf } from '../../protocol/errors.ts';
import type { HubModels } from './hubModels.ts';
import { progressText } from './progressText.ts';
import { explain } from './wayOut.ts';
import { type Log, showError, showInformation, showWarning, withProgress } from '../show.ts';

/** What to get, with its name for people. */
export type NamedDownload = DownloadRequest & { repository: string; name: string };

/** A failed attempt, with the bytes that were still to come. */
interface Failure {
  error: unknown;
  neededBytes: number | null;
}
type Outcome = { result: DownloadResult } | Failure;

export class Downloads {
  readonly #hub: HubModels;
  readonly #log: Log;
  /** By repository and file: what is wanted twice is downloaded once. */
  readonly #running = new Map<string, Promise<Outcome>>();

  constructor(hub: HubModels, log: Log) {
    this.#hub = hub;
    this.#log = log;
  }

  isRunning(repository: string): boolean {
    return [...this.#running.keys()].some((key) => key.startsWith(`${repository} `));
  }

  /** Downloads to the end, with the user's help where it is needed; undefined: given up, what has come is kept. */
  async get(request: NamedDownload): Promise<DownloadResult | undefined> {
    for (;;) {
      const outcome = await this.#attempt(request);
      if ('result' in outcome) return outcome.result;
      if (!(await this.#shallGoOn(request, outcome))) return undefined;
    }
  }

  #attempt(request: NamedDownload): Promise<Outcome> {
    const key = `${request.repository} ${request.revision ?? ''} ${request.file ?? ''}`;
    const running = this.#running.get(key);
    if (running) return running;
    const attempt = this.#download(request).finally(() => {
      this.#running.delete(key);
      this.#hub.changed();
    });
    this.#running.set(key, attempt);
    this.#hub.changed();
    return attempt;
  }

  async #download(request: NamedDownload): Promise<Outcome> {
    let neededBytes: number | null = null;
    let totalBytes = 0;
    try {
      const result = await withProgress(
        {
          location: vscode.ProgressLocation.Notification,
          title: vscode.l10n.t('Downloading {0}', request.name),
          cancellable: true,
        },
        async (progress, cancellation) => {
          const abort = new AbortController();
          cancellation.onCancellationRequested(() => abort.abort());
          let shownShare = 0;
          for await (const event of download(request, this.#hub.options(abort.signal))) {
            if (event.type === 'done') return event.result;
            if (event.type === 'waiting') {
              this.#log.info(`${request.repository}: ${progressText(event) ?? ''}`);
            }
            let doneBytes: number | undefined;
            if (event.type === 'plan') {
              ({ totalBytes } = event);
              doneBytes = event.presentBytes;
            } else if (event.type === 'progress') ({ doneBytes } = event);
            if (doneBytes !== undefined) neededBytes = totalBytes - doneBytes;
            const share = doneBytes === undefined ? shownShare : (100 * doneBytes) / Math.max(1, totalBytes);
            const message = progressText(event);
            progress.report({
              increment: Math.max(0, share - shownShare),
              ...(message !== null && { message }),
            });
            shownShare = Math.max(shownShare, share);
          }
          throw new Error('The download ended without a result.');
        },
      );
      this.#hub.noteReachable(!result.offline);
      this.#log.info(
        `${request.repository} at ${result.commit}: ${formatBytes(result.downloadedBytes)} downloaded, ${result.folder}`,
      );
      return { result };
    } catch (error) {
      if (error instanceof HubError) this.#hub.noteReachable(error.problem !== 'offline');
      if (!(error instanceof CancelledError)) this.#log.warn(`${request.repository}: ${messageOf(error)}`);
      return { error, neededBytes };
    }
  }

  /** Says what is wrong and offers the ways out; true: try again. */
  async #shallGoOn(request: NamedDownload, { error, neededBytes }: Failure): Promise<boolean> {
    const { name, repository, kind } = request;
    if (error instanceof CancelledError) {
      const goOn = vscode.l10n.t('Go On');
      const message = vscode.l10n.t(
        '{0} is not complete. What has come is kept: choose it again to go on.',
        name,
      );
      return (await showInformation(message, goOn)) === goOn;
    }
    const { endpoint, cacheDir, token } = this.#hub;
    for (;;) {
      const hasToken = await this.#hub.hasToken();
      const freeBytes = await freeBytesOf(cacheDir);
      const about = { name, repository, endpoint, hasToken, neededBytes, freeBytes };
      const { severity, message, modal, ways } = explain(error, about);
      const show = {
        info: showInformation,
        warning: showWarning,
        error: showError,
      }[severity];
      const chosen = await show(message, { modal }, ...ways.map(({ label }) => label));
      switch (ways.find(({ label }) => label === chosen)?.way) {
        case 'open-page':
          // The page is where the licence is accepted; the message comes back for what follows.
          await vscode.env.openExternal(vscode.Uri.parse(`${endpoint}/${repository}`));
          break;
        case 'give-token':
          return token.ask();
        case 'forget-token':
          await token.forget();
          return true;
        case 'retry':
          return true;
        case 'remove-models':
          await vscode.commands.executeCommand('springRag.removeModel');
          break;
        case 'choose-another': {
          const command = kind === 'token-file' ? 'selectTokenFile' : 'selectModel';
          void vscode.commands.executeCommand(`springRag.${command}`);
          return false;
        }
        case 'show-log':
          this.#log.show();
          return false;
        case undefined:
          return false;
      }
    }
  }
}

/** Null where the system cannot tell. */
async function freeBytesOf(folder: string): Promise<number | null> {
  const stats = await statfs(folder).catch(() => null);
  return stats && stats.bavail * stats.bsize;
}
