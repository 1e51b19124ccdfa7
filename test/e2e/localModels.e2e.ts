/** A model that Ollama has put on this machine: found, picked and used where it lies. Skipped without the real model. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import type { Locator } from 'playwright-core';
import { addToOllama } from '../fixtures/hub/ollamaStore.ts';
import { realModel } from '../support/realModels.ts';
import { PanelPage } from './panelPage.ts';
import { sampleWorkspace, Workbench } from './workbench.ts';

const question = 'Which port does Breathelth listen on?';

describe('models of other programs, from an empty profile', () => {
  const home = mkdtempSync(join(tmpdir(), 'spring-rag-local-home-'));
  const store = join(home, '.ollama/models');
  let workbench: Workbench;
  let panel: PanelPage;

  before(async function () {
    const file = realModel('smollm2');
    if (file === undefined) return this.skip();
    addToOllama(store, 'registry.ollama.ai/library/smollm2/135m', [
      ['model', file],
      ['template', Buffer.from('{{ .Prompt }}')],
    ]);
    addToOllama(store, 'registry.ollama.ai/library/far/cloud', [], { remote_host: 'https://ollama.com:443' });
    mkdirSync(join(home, 'models'));
    symlinkSync(file, join(home, 'models/own.gguf'));
    workbench = await Workbench.open({
      folder: sampleWorkspace(),
      environment: {
        ...{ HOME: home, XDG_CACHE_HOME: join(home, '.cache'), OLLAMA_MODELS: '', LLAMA_CACHE: '' },
        ...{ HF_HOME: join(home, 'hf'), HF_HUB_CACHE: join(home, 'hf/hub'), HF_HUB_OFFLINE: '1' },
      },
      settings: { 'springRag.variants': ['no-rag', 'baseline'] },
    });
    panel = new PanelPage(workbench.panel);
  });
  after(async () => {
    // The tests' own before may have skipped everything.
    if ((workbench as Workbench | undefined) !== undefined) await workbench.close();
    rmSync(home, { recursive: true, force: true });
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await workbench.screenshot('local-models-failed');
  });

  const rows = (): Locator => workbench.page.locator('.quick-input-widget .monaco-list-row');
  const row = (text: string): Locator => rows().filter({ hasText: text }).first();

  /** Opens the picker of models and narrows it; the row with that title. */
  async function find(title: string): Promise<Locator> {
    const input = workbench.page.locator('.quick-input-widget input').first();
    for (let attempt = 0; ; attempt++) {
      await workbench.command('SPRING: Select Model');
      try {
        await input.fill(title, { timeout: 5000 });
        await row(title).waitFor({ timeout: 20_000 });
        return row(title);
      } catch (error) {
        // The list closes when something else takes the focus, such as the panel at the end of a run.
        if (attempt === 5) throw error;
      }
    }
  }

  /** Waits until the model that is in use is of that name, as the panel's list of models says. */
  async function panelShows(name: RegExp): Promise<void> {
    await workbench.command('SPRING: Open Comparison Panel');
    const list = panel.frame.getByRole('combobox', { name: 'Model' });
    await list.waitFor();
    for (let attempt = 0; ; attempt++) {
      const selected = await list.evaluate((element) => (element as HTMLSelectElement).value);
      if (name.test(selected)) return;
      assert.ok(attempt < 300, `the model is ${selected}`);
      await workbench.page.waitForTimeout(200);
    }
  }

  it('stand under "On this machine", before what the Hub has, with size and quantisation', async () => {
    await workbench.command('SPRING: Select Model');
    await row('ollama:smollm2:135m').waitFor();
    await workbench.screenshot('select-local-model');
    // The list draws what is to be seen: its first rows.
    const shown = await rows().allInnerTexts();
    const place = (text: string): number => shown.findIndex((line) => line.includes(text));
    assert.match(shown[place('ollama:smollm2:135m')] ?? '', /Ollama · 98 MB · Q4_1/);
    assert.ok(place('ollama:smollm2:135m') < place('A local .gguf file'), shown.join('\n'));
    assert.ok(!shown.some((line) => line.includes('far:cloud')), 'what cannot be used does not come first');
    await workbench.page.keyboard.press('Escape');
    assert.match(
      await (await find('far:cloud')).innerText(),
      /cloud: there is no file of it on this machine/,
    );
    await workbench.page.keyboard.press('Escape');
  });

  it('one is picked, answers from the documents, and nothing was copied', async () => {
    await (await find('ollama:smollm2:135m')).click();
    await panelShows(/^ollama:smollm2:135m$/);
    await panel.ask(question);
    assert.match(await panel.prompt('Baseline'), /8144/);
    assert.match(await panel.answer('Baseline'), /\w/);
    assert.match(await panel.answer('No retrieval'), /\w/);
    await workbench.screenshot('local-model-answer');
    const copies = readdirSync(home, { recursive: true, withFileTypes: true }).filter(
      (entry) => entry.isFile() && entry.name.endsWith('.gguf'),
    );
    assert.deepEqual(copies, []);
  });

  it('a .gguf file chosen by hand is used, and stays listed with the one before', async () => {
    await (await find('A local .gguf file')).click();
    await workbench.answerQuickInput(join(home, 'models/own.gguf'));
    await panelShows(/own\.gguf$/);
    const options = panel.frame.getByRole('combobox', { name: 'Model' }).locator('vscode-option');
    assert.ok((await options.allInnerTexts()).includes('ollama:smollm2:135m'));
    await panel.runAgain();
    assert.match(await panel.answer('Baseline'), /\w/);
  });
});
