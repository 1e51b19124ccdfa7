import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { parseRecord } from '../../src/protocol/record.ts';
import { writeNarrowTokens, writeNoiseTokens } from './fixtures.ts';
import { PanelPage } from './panelPage.ts';
import { sampleWorkspace, Workbench } from './workbench.ts';

const question = 'Which port does Breathelth listen on?';

describe('from an empty profile', () => {
  let workbench: Workbench;
  let panel: PanelPage;
  const folder = sampleWorkspace();

  before(async () => {
    await writeNoiseTokens(join(folder, 'noise.pt'));
    await writeNarrowTokens(join(folder, 'narrow.safetensors'));
    workbench = await Workbench.open({ folder });
    panel = new PanelPage(workbench.panel);
  });
  after(() => workbench.close());

  it('a first question indexes the workspace and shows the answers side by side', async () => {
    await workbench.command('SPRING: Ask a Question');
    await workbench.answerQuickInput(question);
    await panel.done();
    assert.match(await panel.status.innerText(), /40 files indexed/);
    assert.match(await panel.passage(1).innerText(), /breathelth\.md:29/);
    assert.equal(await panel.answer('SPRING k=10'), '8144');
    assert.match(await panel.answer('Baseline'), /\w/);
    assert.match(await panel.answer('No retrieval'), /\w/);
    assert.doesNotMatch(await panel.prompt('No retrieval'), /8144/);
    assert.match(
      await panel.prompt('SPRING k=10'),
      /8144[\s\S]*10 virtual tokens[\s\S]*Question: Which port/,
    );
    await workbench.screenshot('first-answer');
  });

  it('ticking passages changes the prompt and the answer, without another retrieval', async () => {
    await panel.passage(1).getByRole('checkbox').click();
    await panel.runAgain();
    assert.doesNotMatch(await panel.prompt('SPRING k=10'), /8144/);
    assert.notEqual(await panel.answer('SPRING k=10'), '8144');
    assert.doesNotMatch(await panel.answers.innerText(), /first passage/);
    await panel.passage(1).getByRole('checkbox').click();
    await panel.runAgain();
    assert.equal(await panel.answer('SPRING k=10'), '8144');
  });

  it('k goes from 0 to all rows of the file', async () => {
    const slider = panel.frame.getByRole('slider');
    await slider.focus();
    await slider.press('Home');
    await panel.runAgain();
    assert.doesNotMatch(await panel.prompt('SPRING k=0'), /virtual token/);
    assert.equal(await panel.answer('SPRING k=0'), await panel.answer('Baseline'));
    await slider.focus();
    await slider.press('End');
    await panel.runAgain();
    assert.match(await panel.prompt('SPRING k=50'), /50 virtual tokens/);
    assert.equal(await panel.answer('SPRING k=50'), '8144');
  });

  it('another embedding file is used; the saved record names it and everything else', async () => {
    await workbench.command('SPRING: Select Embedding File');
    await workbench.answerQuickInput('noise.pt');
    await panel.frame.getByText(/30 virtual tokens of width 128/).waitFor();
    await panel.runAgain();
    assert.match(await panel.prompt('SPRING k=30'), /30 virtual tokens/);
    await panel.button('Save…').click();
    await workbench.answerQuickInput(join(folder, 'noise.spring.json'));
    await panel.status.getByText('noise.spring.json').waitFor();
    const record = parseRecord(readFileSync(join(folder, 'noise.spring.json'), 'utf8'));
    assert.equal(record.tokenFile!.name, 'noise.pt');
    assert.equal(record.tokenFile!.rows, 30);
    assert.match(record.index!.contentHash!, /^[0-9a-f]{16,}$/);
    const spring = record.variants.find(({ id }) => id === 'spring:30')!;
    assert.deepEqual(spring.prompt[1], { virtualTokens: 30 });
    assert.ok(spring.tokens.every(({ logProbability }) => logProbability <= 0));
  });

  it('opens the record again', async () => {
    const shown = await panel.answer('SPRING k=30');
    await panel.ask('Which port does Hussor listen on?');
    await workbench.command('SPRING: Open Experiment Record');
    await workbench.answerQuickInput('noise.spring.json');
    await workbench.page
      .locator('.monaco-dialog-box', { hasText: 'have not been saved' })
      .getByRole('button', { name: 'Replace Them', exact: true })
      .click();
    await panel.status.getByText('noise.spring.json').waitFor();
    assert.equal(await panel.question.inputValue(), question);
    assert.equal(await panel.answer('SPRING k=30'), shown);
  });

  it('says why an embedding file does not fit, and keeps the one that does', async () => {
    await workbench.command('SPRING: Select Embedding File');
    await workbench.answerQuickInput('narrow.safetensors');
    await panel.frame
      .getByText(/narrow\.safetensors does not fit demo: its rows have 64 numbers/)
      .first()
      .waitFor();
    await panel.frame.getByText(/30 virtual tokens of width 128/).waitFor();
    await workbench.screenshot('does-not-fit');
  });

  it('opens a passage at its lines', async () => {
    await panel
      .passage(1)
      .getByRole('button', { name: /Open the document/ })
      .click();
    await workbench.page.locator('.tab', { hasText: 'breathelth.md' }).waitFor();
    await workbench.page.getByText(/Ln 31, Col \d+/).waitFor();
    await workbench.command('View: Close All Editor Groups');
  });

  it('follows a document that changes on disk', async () => {
    writeFileSync(
      join(folder, 'breathelth.md'),
      '# Breathelth\n\n## Connections\n\nBreathelth listens on port 9911.\n',
    );
    await workbench.command('SPRING: Open Comparison Panel');
    const asked = async (): Promise<boolean> => {
      await panel.ask(question);
      return (await panel.passage(1).innerText()).includes('9911');
    };
    for (let attempt = 0; !(await asked()); attempt++) {
      assert.ok(attempt < 10, 'the change did not reach the index');
      await workbench.page.waitForTimeout(500);
    }
  });

  it('restores question, passages and answers after a reload', async () => {
    const before = await panel.answer('Baseline');
    await workbench.page.waitForTimeout(10_000); // in the browser VS Code writes its state every five seconds
    await workbench.reload();
    await panel.done();
    assert.equal(await panel.question.inputValue(), question);
    assert.equal(await panel.answer('Baseline'), before);
    assert.match(await panel.passage(1).innerText(), /9911/);
    await panel.runAgain();
    assert.equal(await panel.answer('Baseline'), before);
  });

  it('a second window on the same workspace answers too, and the index survives both', async () => {
    const second = await workbench.secondWindow();
    const secondPanel = new PanelPage(second.panel);
    await second.command('SPRING: Rebuild Index');
    await workbench.command('SPRING: Rebuild Index');
    await second.command('SPRING: Open Comparison Panel');
    await secondPanel.ask('Which port does Hussor listen on?');
    assert.match(await secondPanel.passage(1).innerText(), /hussor\.md/);
    await panel.ask(question);
    assert.match(await panel.passage(1).innerText(), /9911/);
    await second.page.close();
  });
});
