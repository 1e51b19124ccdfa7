/** The commands for models and embedding files that are not on this machine yet, or shall not be any more. */
import * as vscode from 'vscode';
import type { OverviewRow } from '../../hub/overview.ts';
import { registerAll } from '../commands.ts';
import type { ModelParts } from './parts.ts';
import { removePrepared } from './preparedWeights.ts';
import { removeDownload, removeRow } from './removal.ts';
import { downloadModel } from './selectModel.ts';
import { downloadTokenFile } from './selectTokenFile.ts';
import { type Log, showInformation } from '../show.ts';

/** A row of the side panel. */
interface Node {
  row: OverviewRow;
  /** Of a model that is here: its folder or GGUF file. */
  folder?: string;
}

/** Registers them. */
export function registerModelCommands(parts: ModelParts, log: Log): vscode.Disposable {
  const { hub, memoryGuard } = parts;
  const commands: Record<string, (...values: never[]) => unknown> = {
    downloadModel: async ({ row }: Node) => {
      if (row.entry.kind === 'token-file') {
        const path = await downloadTokenFile(parts, row.entry);
        if (path !== undefined) await vscode.commands.executeCommand('springRag.useTokenFile', { path });
        return;
      }
      if (!(await memoryGuard.confirmPick(row))) return;
      const model = await downloadModel(parts, row.entry);
      if (model !== undefined) await vscode.commands.executeCommand('springRag.useModel', model);
    },
    removeModel: (node?: Partial<Node>) =>
      node?.row === undefined ? removeDownload(parts) : removeRow(parts, node.row),
    removePreparedWeights: (node?: Partial<Node>) =>
      removePrepared(parts, node?.folder ?? node?.row?.path ?? undefined),
    setAccessToken: async () => {
      if (await hub.token.ask()) {
        void showInformation(vscode.l10n.t('The access token is kept in the secret storage of VS Code.'));
      }
    },
    forgetAccessToken: async () => {
      await hub.token.forget();
      void showInformation(vscode.l10n.t('The access token was forgotten.'));
    },
  };
  return registerAll(commands, log);
}
