/** Runs inside the extension host, beside the installed extension: its tool, its settings, its event loop. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import * as vscode from 'vscode';

const extensionId = 'spring-rag.spring-rag';

/** What VS Code calls; what it measures is written to the file named by SPRING_MEASUREMENTS. */
export async function run(): Promise<void> {
  const extension = vscode.extensions.getExtension(extensionId);
  assert.ok(extension, 'the extension is not installed');
  await extension.activate();
  const file = process.env['SPRING_MEASUREMENTS'];
  assert.ok(file !== undefined);
  const idle = await blocked(() => new Promise((resolve) => setTimeout(resolve, 2000)));
  const indexing = await blocked(() => vscode.commands.executeCommand('springRag.rebuildIndex'));
  const ask = (): PromiseLike<unknown> =>
    vscode.commands.executeCommand('springRag.compareQuestion', 'Which port does Breathelth listen on?');
  const asking = await blocked(ask);
  const askingAgain = await blocked(ask);
  writeFileSync(file, JSON.stringify({ idle, indexing, asking, askingAgain }));
  await theToolSearches();
  await aSettingIsWrittenWhereItLives();
}

interface Blocked {
  wallMs: number;
  /** Longest time in which the event loop did not turn. */
  longestBlockMs: number;
  /** Processor time of the whole extension host. */
  cpuMs: number;
}

async function blocked(work: () => PromiseLike<unknown>): Promise<Blocked> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const cpu = process.cpuUsage();
  const start = performance.now();
  delay.enable();
  await work();
  delay.disable();
  const { user, system } = process.cpuUsage(cpu);
  return {
    wallMs: performance.now() - start,
    longestBlockMs: delay.max / 1e6,
    cpuMs: (user + system) / 1000,
  };
}

async function theToolSearches(): Promise<void> {
  const tool = vscode.lm.tools.find(({ name }) => name === 'spring_search_documents');
  assert.ok(tool, 'the language-model tool is not there');
  const result = await vscode.lm.invokeTool('spring_search_documents', {
    input: { query: 'port of Breathelth', count: 2 },
    toolInvocationToken: undefined,
  });
  const text = result.content.map((part) => (part as vscode.LanguageModelTextPart).value).join('');
  assert.match(text, /"path":"breathelth\.md"/);
  assert.equal(text.split('\n').length, 3);
}

async function aSettingIsWrittenWhereItLives(): Promise<void> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
  assert.ok(folder !== undefined);
  const tokenFile = join(extensionFolder(), 'media/demo/spring-50.pt');
  await vscode.commands.executeCommand('springRag.useTokenFile', vscode.Uri.file(tokenFile));
  const found = vscode.workspace.getConfiguration('springRag').inspect<string>('tokenFile');
  assert.equal(found?.globalValue, tokenFile);
  assert.equal(found.workspaceValue, undefined);
}

function extensionFolder(): string {
  return vscode.extensions.getExtension(extensionId)!.extensionPath;
}
