/** PDF and Word documents of the workspace as virtual documents of their text, for passages to be shown in. */
import { isAbsolute, relative } from 'node:path';
import * as vscode from 'vscode';
import { UserError } from '../../protocol/errors.ts';
import type { Passage } from '../../protocol/passages.ts';
import type { Engines } from '../engines.ts';
import { extractedText, passageLines, type ExtractedText } from './extractedText.ts';

export const documentTextScheme = 'spring-rag-text';

/** What VS Code asks for the text of such a document. */
export class DocumentTexts implements vscode.TextDocumentContentProvider, vscode.Disposable {
  readonly #engines: Engines;
  readonly #registration: vscode.Disposable;

  constructor(engines: Engines) {
    this.#engines = engines;
    this.#registration = vscode.workspace.registerTextDocumentContentProvider(documentTextScheme, this);
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    return (await this.#extract(vscode.Uri.file(uri.path).fsPath.replace(/\.txt$/, ''))).text;
  }

  /** Opens the text of a document beside the panel, the passage selected and in view. */
  async show(file: vscode.Uri, passage: Pick<Passage, 'text' | 'startLine' | 'endLine'>): Promise<void> {
    const { first, last } = passageLines(await this.#extract(file.fsPath), passage);
    const selection = new vscode.Range(first, 0, last, Number.MAX_SAFE_INTEGER);
    const editor = await vscode.window.showTextDocument(documentTextUri(file), {
      viewColumn: vscode.ViewColumn.Beside,
      preview: true,
      selection,
    });
    editor.revealRange(selection, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
  }

  dispose(): void {
    this.#registration.dispose();
  }

  /** Only documents of the workspace: a link may name any file. */
  async #extract(path: string): Promise<ExtractedText> {
    const folders = (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === 'file');
    const folder = folders.find(({ uri }) => isInside(uri.fsPath, path))?.uri.fsPath;
    if (folder === undefined) {
      throw new UserError(`${path} is not in this workspace, so its text is not shown.`);
    }
    const { lines } = await this.#engines.index.request('extractText', {
      folder,
      path: relative(folder, path),
    });
    return extractedText(path, lines);
  }
}

/** The virtual document of a file's text. */
export function documentTextUri(file: vscode.Uri): vscode.Uri {
  return file.with({ scheme: documentTextScheme, path: `${file.path}.txt` });
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '' && !way.startsWith('..') && !isAbsolute(way);
}
