/** Experiment records as files: where they are saved, which there are, opening one. */
import * as vscode from 'vscode';
import { UserError } from '../../protocol/errors.ts';
import { maximumRecordBytes, parseRecord } from '../../protocol/record.ts';
import type { ComparisonSession } from './comparisonSession.ts';
import { differences, recordOf, stateOfRecord } from './recordState.ts';
import { pickOne } from '../show.ts';

/** Letters of a question in the name of its record. */
const longestName = 80;

export const recordPattern = '**/*.spring.json';

/** Asks for a place and saves. Resolves to the path, or null if the user closed the dialog. */
export async function saveRecord(
  session: ComparisonSession,
  { version }: { version: string },
): Promise<string | null> {
  const createdAt = new Date();
  const software = {
    extension: version,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
  };
  const record = recordOf(session.state, { createdAt, software });
  const moment = createdAt.toISOString().slice(0, 16).replace(':', '');
  const name = `${slug(record.question)}-${moment}.spring.json`;
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const uri = await vscode.window.showSaveDialog({
    title: 'Save Experiment Record',
    defaultUri: folder ? vscode.Uri.joinPath(folder, name) : vscode.Uri.file(name),
    filters: { 'Experiment record': ['spring.json', 'json'] },
  });
  if (!uri) return null;
  await vscode.workspace.fs.writeFile(uri, Buffer.from(`${JSON.stringify(record, null, 2)}\n`));
  session.store.patch({ record: { path: uri.fsPath, createdAt: record.createdAt } });
  return uri.fsPath;
}

/** The records of the workspace, latest first. */
export async function findRecords(): Promise<vscode.Uri[]> {
  const uris = await vscode.workspace.findFiles(recordPattern, '**/node_modules/**', 200);
  const times = await Promise.all(
    uris.map(async (uri) => {
      const { mtime } = await Promise.resolve(vscode.workspace.fs.stat(uri)).catch(() => ({ mtime: 0 }));
      return { uri, mtime };
    }),
  );
  return times.sort((a, b) => b.mtime - a.mtime).map(({ uri }) => uri);
}

/** A picker over the workspace's records; null if the user closed it. */
export async function pickRecord(): Promise<vscode.Uri | null> {
  const browse = { label: 'Browse...', iconPath: new vscode.ThemeIcon('folder-opened'), uri: null };
  const items = (await findRecords()).map((uri) => ({ label: vscode.workspace.asRelativePath(uri), uri }));
  const picked = await pickOne([...items, browse], {
    placeHolder: 'Experiment record to open',
  });
  if (!picked) return null;
  if (picked.uri) return picked.uri;
  const opened = await vscode.window.showOpenDialog({
    filters: { 'Experiment record': ['spring.json', 'json'] },
  });
  return opened?.[0] ?? null;
}

/**
 * Shows a record in the session.
 * @throws UserError if the file is not a record
 */
export async function openRecordFile(uri: vscode.Uri, session: ComparisonSession): Promise<void> {
  const { size } = await vscode.workspace.fs.stat(uri);
  if (size > maximumRecordBytes) throw new UserError(`${uri.fsPath} is too large for an experiment record.`);
  const text = Buffer.from(await vscode.workspace.fs.readFile(uri)).toString('utf8');
  const record = parseRecord(text);
  session.cancel();
  const { run, record: shown, inputs, passages, columns } = stateOfRecord(record, uri.fsPath, session.state);
  session.store.patch({ run, record: shown, inputs, passages, columns });
  const found = differences(record, session.state);
  if (found.length > 0)
    session.notify('warning', `A repetition may differ from this record: ${found.join('; ')}.`);
}

function slug(question: string): string {
  const words = question.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  let name = '';
  for (const word of words) {
    if (name.length + word.length > longestName) break;
    name += name === '' ? word : `-${word}`;
  }
  return name || 'comparison';
}
