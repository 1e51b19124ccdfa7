/** A search hit as a place that VS Code can open. */
import * as vscode from 'vscode';
import type { SearchHit } from '../protocol/engine.ts';

/** Where a passage stands: its file and its whole lines. */
export function hitLocation({
  folder,
  path,
  startLine = 1,
  endLine = startLine,
}: Pick<SearchHit, 'folder' | 'path' | 'startLine' | 'endLine'>): vscode.Location {
  const uri = vscode.Uri.joinPath(vscode.Uri.file(folder), path ?? '');
  const last = Math.max(startLine, endLine) - 1;
  return new vscode.Location(uri, new vscode.Range(startLine - 1, 0, last, Number.MAX_SAFE_INTEGER));
}
