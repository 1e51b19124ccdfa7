/** Runs inside the extension host, beside the installed extension: the index follows open editors. */
import assert from 'node:assert/strict';
import * as vscode from 'vscode';

/** An editor's text counts while it is open, the file's again when it is closed without saving. What VS Code calls. */
export async function run(): Promise<void> {
  await vscode.extensions.getExtension('spring-rag.spring-rag')!.activate();
  await until(/8144/, 'the text on disk is not found');
  const folder = vscode.workspace.workspaceFolders![0]!.uri;
  const document = await vscode.workspace.openTextDocument(vscode.Uri.joinPath(folder, 'breathelth.md'));
  const editor = await vscode.window.showTextDocument(document);
  const all = new vscode.Range(0, 0, document.lineCount, 0);
  await editor.edit((edit) => edit.replace(all, '# Breathelth\n\nThe port of Breathelth is 4711.\n'));
  assert.ok(document.isDirty);
  await until(/4711/, 'the unsaved text is not found');
  assert.doesNotMatch(await search(), /8144/);
  // A look at everything must not forget what is not saved.
  await vscode.commands.executeCommand('springRag.rebuildIndex');
  assert.match(await search(), /4711/);
  await vscode.commands.executeCommand('workbench.action.revertAndCloseActiveEditor');
  await until(/8144/, 'the text on disk is not back');
  assert.doesNotMatch(await search(), /4711/);
}

async function search(): Promise<string> {
  const result = await vscode.lm.invokeTool('spring_search_documents', {
    input: { query: 'port of Breathelth', count: 3 },
    toolInvocationToken: undefined,
  });
  return result.content.map((part) => (part as vscode.LanguageModelTextPart).value).join('');
}

async function until(wanted: RegExp, message: string): Promise<void> {
  let found = '';
  for (let attempt = 0; attempt < 40; attempt++) {
    found = await search();
    if (wanted.test(found)) return;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  assert.fail(`${message}: ${found}`);
}
