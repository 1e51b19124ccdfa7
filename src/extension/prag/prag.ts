/** Parametric RAG in VS Code: the command that encodes, and the view of what is encoded. */
import * as vscode from 'vscode';
import { formatBytes } from '../../hub/format.ts';
import type { AdapterInfo } from '../../protocol/engine.ts';
import { registerAll } from '../commands.ts';
import type { ComparisonParts } from '../panel/comparison.ts';
import type { ComparisonSession } from '../panel/comparisonSession.ts';
import { registerListView, type Row } from '../views/listView.ts';
import { encodeTickedPassages } from './encodePassages.ts';
import { lossChange, sparkline } from './lossText.ts';
import { showInformation, showWarning } from '../show.ts';

/** Registers the view Adapters and its commands. */
export function registerPrag(parts: ComparisonParts, session: ComparisonSession): vscode.Disposable {
  const { engines, log } = parts;
  const changed = new vscode.EventEmitter<void>();
  const commands: Record<string, (...values: never[]) => unknown> = {
    encodePassages: async () => {
      try {
        await encodeTickedPassages(parts, session);
      } finally {
        // What was encoded before a cancellation stays.
        changed.fire();
      }
    },
    refreshAdapters: () => changed.fire(),
    removeAdapter: async ({ folder }: AdapterRow) => {
      await engines.index.request('removeAdapters', { folders: [folder] });
      changed.fire();
    },
    removeAllAdapters: async () => {
      await removeAll(parts);
      changed.fire();
    },
  };
  return vscode.Disposable.from(
    changed,
    registerAll(commands, log),
    registerListView('springRag.adapters', () => adapterRows(parts), [changed.event]),
  );
}

/** Says what would go, then removes it; the passages can be encoded again. */
async function removeAll({ engines }: ComparisonParts): Promise<void> {
  const stored = await engines.index.request('listAdapters', {});
  if (stored.length === 0) {
    void showInformation(vscode.l10n.t('There are no adapters on this machine.'));
    return;
  }
  const size = formatBytes(stored.reduce((sum, { bytes }) => sum + bytes, 0));
  const remove = vscode.l10n.t('Remove');
  const chosen = await showWarning(
    vscode.l10n.t('Remove all {0} adapters of all models? This frees {1}.', stored.length, size),
    { modal: true, detail: vscode.l10n.t('Their passages can be encoded again.') },
    remove,
  );
  if (chosen !== remove) return;
  await engines.index.request('removeAdapters', { folders: stored.map(({ folder }) => folder) });
}

/** Characters of a passage that leave room for size and loss in a narrow side panel. */
const labelLength = 20;

type AdapterRow = Row & { folder: string };

async function adapterRows({ engines }: ComparisonParts): Promise<AdapterRow[]> {
  return (await engines.index.request('listAdapters', {})).map(adapterRow);
}

function adapterRow({ folder, passage, model, bytes, losses, lastUsed }: AdapterInfo): AdapterRow {
  const used = new Date(lastUsed).toLocaleString(vscode.env.language);
  return {
    folder,
    label: startOf(passage),
    description: [formatBytes(bytes), lossChange(losses)].filter((text) => text !== '').join(' · '),
    tooltip: [
      passage,
      '',
      vscode.l10n.t('For {0}, {1}, last used {2}', model, formatBytes(bytes), used),
      vscode.l10n.t('Loss {0}', `${sparkline(losses)} ${lossChange(losses)}`),
    ].join('\n'),
    contextValue: 'adapter',
    iconPath: new vscode.ThemeIcon('layers'),
  };
}

/** The first words of a passage, without the marks of a heading or a list. */
function startOf(passage: string): string {
  const text = passage.replaceAll(/\s+/g, ' ').replace(/^[\s#>*-]+/, '');
  return text.length <= labelLength ? text : `${text.slice(0, labelLength - 1)}…`;
}
