import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { PanelPage } from './panelPage.ts';
import { root } from './server.ts';
import { sampleWorkspace, Workbench } from './workbench.ts';

describe('figures (printed, not judged: machines differ)', () => {
  let workbench: Workbench;

  before(async () => {
    workbench = await Workbench.open({ folder: sampleWorkspace() });
  });
  after(() => workbench.close());

  it('activation, as the extension host measures it', async () => {
    await workbench.command('Developer: Show Running Extensions');
    const row = workbench.page.locator('.runtime-extensions-editor .monaco-list-row', { hasText: 'SPRING' });
    const text = (await row.innerText()).replace(/\s+/g, ' ');
    assert.match(text, /Activation: \d+ms/);
    console.log(`      ${/(Startup )?Activation: \d+ms/.exec(text)![0]}`);
  });

  it('from Ask to the first passage and the first token', async () => {
    const panel = new PanelPage(workbench.panel);
    await workbench.command('SPRING: Open Comparison Panel');
    for (const question of ['Which port does Breathelth listen on?', 'Which port does Hussor listen on?']) {
      await panel.ask(question);
      console.log(`      ${await panel.answers.locator('.run-note').innerText()}`);
    }
    const passages = panel.passage(1);
    assert.match(await passages.innerText(), /hussor\.md/);
  });

  it('the package', () => {
    const { size } = statSync(join(root, `spring-rag-${process.platform}-${process.arch}-0.1.0.vsix`));
    console.log(`      VSIX: ${(size / 1e6).toFixed(1)} MB`);
  });
});
