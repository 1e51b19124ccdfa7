/** Removing downloads from this machine: what is freed is said first, and nothing goes without a yes. */
import * as vscode from 'vscode';
import { removeKept } from '../../checkpoint/quantized/kept.ts';
import { formatBytes } from '../../hub/format.ts';
import type { OverviewRow } from '../../hub/overview.ts';
import { planRemoval, remove } from '../../hub/remove.ts';
import { requestOf } from '../../hub/request.ts';
import { changeSetting, setting } from '../settings.ts';
import { downloadedGguf } from './ggufItems.ts';
import type { ModelParts } from './parts.ts';
import { bytesOf, preparedOf } from './preparedWeights.ts';
import { licenceText, stateText } from './rowText.ts';
import { pickOne, showInformation, showWarning } from '../show.ts';

/** Whether a row is a download, whole or not, that can be removed. */
export function isRemovable({ entry, state }: OverviewRow): boolean {
  return entry.repository !== undefined && (state === 'downloaded' || state === 'partial');
}

/** Asks which download to remove; false if none was. */
export async function removeDownload(parts: ModelParts): Promise<boolean> {
  const { hub, library } = parts;
  const [listed, local] = await Promise.all([hub.rows(), library.localModels()]);
  const paths = new Set(listed.map(({ path }) => path));
  const others = local.flatMap(({ name, path, bytes }) =>
    paths.has(path) ? [] : (downloadedGguf(name, path, bytes, hub.cacheDir) ?? []),
  );
  const rows = [...listed.filter(isRemovable), ...others];
  if (rows.length === 0) {
    void showInformation(
      vscode.l10n.t('Nothing of the Hub is on this machine (looked in {0}).', parts.hub.cacheDir),
    );
    return false;
  }
  const picked = await pickOne(
    rows.map((row) => ({
      label: row.entry.title,
      description: stateText(row),
      detail: licenceText(row),
      row,
    })),
    { placeHolder: vscode.l10n.t('Download to remove from this machine') },
  );
  return picked ? removeRow(parts, picked.row) : false;
}

/** Asks, then removes one download and what was prepared from it; false if the user said no. */
export async function removeRow(parts: ModelParts, row: OverviewRow): Promise<boolean> {
  const { hub, library, engines } = parts;
  const { entry, path } = row;
  const request =
    entry.source === 'cache'
      ? {
          repository: entry.repository ?? entry.id,
          kind: entry.kind,
          ...(entry.file !== undefined && { file: entry.file }),
        }
      : requestOf(entry.id, hub.catalogue);
  const plan = await planRemoval(request, hub.cacheDir);
  // They are of no use without the model that they were made from.
  const prepared = path === null || entry.kind === 'token-file' ? [] : await preparedOf(path);
  const freedBytes = plan.freedBytes + bytesOf(prepared);
  const removeLabel = vscode.l10n.t('Remove');
  const chosen = await showWarning(
    vscode.l10n.t('Remove {0} from this machine? This frees {1}.', entry.title, formatBytes(freedBytes)),
    {
      modal: true,
      detail: [
        vscode.l10n.t(
          'It lies in the cache that other programs share ({0}). It can be downloaded again.',
          hub.cacheDir,
        ),
        ...prepared.map(({ precision, bytes }) =>
          vscode.l10n.t('Its prepared weights in {0} ({1}) go with it.', precision, formatBytes(bytes)),
        ),
      ].join('\n'),
    },
    removeLabel,
  );
  if (chosen !== removeLabel) return false;
  // A file that is in use cannot be removed on every system.
  if (entry.kind !== 'token-file' && engines.inference.state === 'running') {
    await engines.inference.request('unload', {});
  }
  await remove(plan, hub.cacheDir);
  await removeKept(prepared);
  if (setting('model') === entry.id) await vscode.commands.executeCommand('springRag.useModel', 'demo');
  if (path !== null && entry.kind === 'token-file') {
    if (setting('tokenFile') === path) await changeSetting('tokenFile', '');
    await library.forgetTokenFile(path);
  }
  await library.refresh();
  hub.changed();
  void showInformation(vscode.l10n.t('{0} was removed: {1} freed.', entry.title, formatBytes(freedBytes)));
  return true;
}
