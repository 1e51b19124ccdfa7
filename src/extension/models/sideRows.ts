/** The rows of the side panel's views of models and embedding files. */
import * as vscode from 'vscode';
import type { KeptWeights } from '../../checkpoint/quantized/kept.ts';
import { formatBytes } from '../../hub/format.ts';
import type { OverviewRow } from '../../hub/overview.ts';
import type { ComparisonSession } from '../panel/comparisonSession.ts';
import type { Row } from '../views/listView.ts';
import { downloadedGguf } from './ggufItems.ts';
import type { ModelParts } from './parts.ts';
import { preparedOf } from './preparedWeights.ts';
import { isRemovable } from './removal.ts';
import { isHere, joined, licenceText, memoryText, stateText } from './rowText.ts';

/** What can be used at once, then, folded, what can be downloaded. The menus go by `contextValue`. */
export async function modelRows(parts: ModelParts, { state }: ComparisonSession): Promise<Row[]> {
  const rows = (await parts.hub.rows()).filter(({ entry }) => entry.kind === 'chat' || entry.kind === 'base');
  const prepared = new Map<string, KeptWeights[]>();
  for (const { folder } of parts.library.models) prepared.set(folder, await preparedOf(folder));
  const here = parts.library.models.map(
    (info): Row & { model: string; folder: string; row?: OverviewRow } => {
      const { id, name, problem, architecture, hiddenSize, numLayers, weightBytes, folder, memory } = info;
      const row =
        rows.find(({ entry }) => entry.id === id) ??
        downloadedGguf(id, folder, weightBytes, parts.hub.cacheDir);
      const selected = id === state.inputs.model;
      const kept = prepared.get(folder) ?? [];
      const loaded = selected && state.model.kind === 'ready' ? vscode.l10n.t('in memory') : '';
      return {
        ...{ model: id, folder },
        ...(row && { row }),
        label: name,
        description: problem ?? joined(formatBytes(weightBytes), loaded),
        tooltip:
          problem ??
          [
            folder,
            `${architecture}, ${String(numLayers)} x ${String(hiddenSize)}`,
            memory
              ? vscode.l10n.t('About {0} of memory', formatBytes(memory.native))
              : row
                ? memoryText(row)
                : '',
            ...kept.map(({ precision, bytes }) =>
              vscode.l10n.t('Prepared weights in {0}: {1}', precision, formatBytes(bytes)),
            ),
          ]
            .filter((line) => line !== '')
            .join('\n'),
        ...(problem === undefined && !selected && useOnClick('springRag.useModel', { model: id })),
        contextValue: `${context(problem === undefined && !selected ? 'model' : 'modelSelected', row)}${kept.length > 0 ? ' prepared' : ''}`,
        iconPath: new vscode.ThemeIcon(problem !== undefined ? 'warning' : selected ? 'pass-filled' : 'chip'),
      };
    },
  );
  const known = new Set(parts.library.models.map(({ id }) => id));
  const away = rows.filter((row) => !known.has(row.entry.id) && !isHere(row));
  return [...here, ...folded(vscode.l10n.t('To download'), away, parts)];
}

export async function tokenFileRows(parts: ModelParts, { state }: ComparisonSession): Promise<Row[]> {
  const rows = (await parts.hub.rows()).filter(({ entry }) => entry.kind === 'token-file');
  const here = parts.library.tokenFiles.map((info): Row & { path: string; row?: OverviewRow } => {
    const { path, name, rows: count, hiddenSize, source, dtype } = info;
    const row = rows.find((candidate) => candidate.path === path);
    const selected = path === state.inputs.tokenFile;
    const misfit = state.tokenFileFit[path] ?? null;
    const warning = state.tokenFileWarnings[path];
    const size = `${String(count)} x ${String(hiddenSize)}`;
    return {
      path,
      ...(row && { row }),
      label: name,
      description:
        misfit !== null
          ? vscode.l10n.t('does not fit')
          : warning === undefined
            ? size
            : joined(size, vscode.l10n.t('perhaps of another model')),
      tooltip:
        misfit ?? [warning ?? '', path, `${dtype}, ${source}`].filter((line) => line !== '').join('\n'),
      ...(misfit === null && !selected && useOnClick('springRag.useTokenFile', { path })),
      contextValue: context(misfit === null && !selected ? 'tokenFile' : 'tokenFileSelected', row),
      iconPath: new vscode.ThemeIcon(
        misfit !== null
          ? 'circle-slash'
          : warning !== undefined
            ? 'warning'
            : selected
              ? 'pass-filled'
              : 'symbol-array',
      ),
    };
  });
  return [
    ...here,
    ...folded(
      vscode.l10n.t('To download'),
      rows.filter((row) => !isHere(row)),
      parts,
    ),
  ];
}

/** A click on a row uses what it names. */
function useOnClick(command: string, target: object): Pick<Row, 'command'> {
  return { command: { command, title: vscode.l10n.t('Use'), arguments: [target] } };
}

/** `model`, or `model removable`: what the menus of the manifest look for. */
function context(kind: string, row: OverviewRow | undefined): string {
  return row && isRemovable(row) ? `${kind} removable` : kind;
}

function folded(label: string, rows: readonly OverviewRow[], { hub, downloads }: ModelParts): Row[] {
  const children = rows
    .filter(({ entry }) => entry.repository !== undefined)
    .map((row): Row & { row: OverviewRow } => {
      const { entry, state, memory, runsHere } = row;
      const tooLarge = memory !== null && runsHere === null;
      const running = downloads.isRunning(entry.repository ?? '');
      return {
        row,
        label: entry.title,
        description: running ? vscode.l10n.t('downloading') : stateText(row),
        tooltip: [entry.repository ?? '', licenceText(row), memoryText(row), entry.note ?? '']
          .filter((line) => line !== '')
          .join('\n'),
        contextValue: running ? 'downloading' : context('download', row),
        iconPath: new vscode.ThemeIcon(
          running
            ? 'loading~spin'
            : tooLarge
              ? 'warning'
              : state === 'partial'
                ? 'debug-pause'
                : 'cloud-download',
        ),
      };
    });
  if (children.length === 0) return [];
  return [
    {
      label,
      description: hub.offline ? vscode.l10n.t('offline') : String(children.length),
      collapsibleState: vscode.TreeItemCollapsibleState.Collapsed,
      children,
    },
  ];
}
