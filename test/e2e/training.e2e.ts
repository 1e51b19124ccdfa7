import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import type { FrameLocator, Locator } from 'playwright-core';
import { openIndex } from '../../src/retrieval/workspaceIndex.ts';
import { startChatServer, threeQuestions } from '../support/chatServer.ts';
import { PanelPage } from './panelPage.ts';
import { root } from './server.ts';
import { sampleWorkspace, Workbench } from './workbench.ts';

const question = 'Which port does Breathelth listen on?';

describe('training and Parametric RAG', () => {
  let workbench: Workbench;
  let chat: Awaited<ReturnType<typeof startChatServer>>;
  const folder = sampleWorkspace();
  const cache = mkdtempSync(join(tmpdir(), 'spring-rag-cache-'));

  before(async () => {
    const lines = readFileSync(join(root, 'samples/questions/qa-train.jsonl'), 'utf8').split('\n');
    writeFileSync(join(folder, 'few.jsonl'), `${lines.slice(0, 40).join('\n')}\n`);
    chat = await startChatServer(threeQuestions);
    const augmentedFile = join(cache, 'augmented.json');
    writeFileSync(augmentedFile, JSON.stringify(await augmentedPassages(folder)));
    workbench = await Workbench.open({
      folder,
      settings: {
        'springRag.prag.augmentedFile': augmentedFile,
        'springRag.prag.endpoint': chat.url,
        'springRag.prag.endpointModel': 'chat',
      },
      environment: { XDG_CACHE_HOME: cache },
    });
  });
  after(async () => {
    await workbench.close();
    chat.close();
    rmSync(cache, { recursive: true, force: true });
  });

  /** The training panel: the frame with its heading. */
  const training = (): FrameLocator => workbench.panel;
  const button = (name: string): Locator => training().getByRole('button', { name, exact: true });
  const statusItem = (): Locator => workbench.page.locator('[id="spring-rag.spring-rag.springRag.training"]');
  const steps = (): Locator => training().locator('.training-progress');

  it('trains in a panel with live curves; pause and resume', async () => {
    await startTraining(workbench, '10', '20 steps');
    await steps()
      .getByText(/Step [1-9]\d* of 20/)
      .waitFor();
    await statusItem().waitFor();
    await button('Pause').click();
    await training()
      .getByText(/^Paused\. The state is saved/)
      .waitFor();
    await workbench.screenshot('training-paused');
    const paused = await steps().innerText();
    assert.match(paused, /Step \d+ of 20/);
    assert.doesNotMatch(paused, /Step 20 of 20/);
  });

  it('survives a reload of the window', async () => {
    const before = /Step \d+/.exec(await steps().innerText())![0];
    await workbench.reload();
    // VS Code stores its layout now and then, so the panel may or may not be there; the run is in the status bar.
    await statusItem().click();
    await training()
      .getByText(/^Paused/)
      .waitFor();
    assert.equal(/Step \d+/.exec(await steps().innerText())![0], before);
  });

  it('finishes, and the comparison uses the tokens', async () => {
    await button('Resume').click();
    await training()
      .getByText(/^Done\. The tokens of step/)
      .waitFor();
    assert.match(await steps().innerText(), /Step 20 of 20/);
    await training().getByRole('region', { name: 'Validations' }).getByText('20').first().waitFor();
    await workbench.screenshot('training-done');
    await button('Use in Comparison').click();
    const panel = new PanelPage(workbench.panel);
    await panel.frame.getByText(/10 virtual tokens of width 128/).waitFor();
    await panel.ask(question);
    assert.match(await panel.prompt('SPRING k=10'), /10 virtual tokens/);
  });

  it('says that ticked passages are not encoded, encodes them and answers', async () => {
    const panel = new PanelPage(workbench.panel);
    for (const place of [2, 3]) await panel.passage(place).getByRole('checkbox').click();
    await panel.button('Add a column').click();
    await panel.frame.getByRole('button', { name: 'Parametric RAG', exact: true }).click();
    await panel.runAgain();
    await panel.frame
      .getByText(/The ticked passage is not encoded/)
      .first()
      .waitFor();
    await workbench.screenshot('not-encoded');
    await panel.afterRun(() => panel.button('Encode Passages').click());
    assert.match(await panel.answer('Parametric RAG'), /\w/);
    assert.doesNotMatch(await panel.prompt('Parametric RAG'), /8144/);
    await workbench.screenshot('parametric-rag');
  });

  it('compares Parametric RAG with its controls, all in one run', async () => {
    const panel = new PanelPage(workbench.panel);
    for (const title of [
      'Parametric RAG + passages',
      'Standard RAG (PRAG prompt)',
      'SPRING + Parametric RAG',
      'Placebo adapters',
    ]) {
      await panel.button('Add a column').click();
      await panel.frame.getByRole('button', { name: title, exact: true }).click();
    }
    await panel.runAgain();
    await panel.frame
      .getByText(/unrelated passages of the placebo are not encoded/)
      .first()
      .waitFor();
    await panel.afterRun(() => panel.button('Encode Passages').click());
    const asked = await panel.prompt('Standard RAG (PRAG prompt)');
    assert.match(asked, /You should answer the question by referring[\s\S]*8144[\s\S]*The answer is/);
    assert.equal(await panel.prompt('Parametric RAG + passages'), asked);
    const bare = await panel.prompt('Parametric RAG');
    assert.match(bare, /The answer is/);
    assert.doesNotMatch(bare, /8144/);
    assert.equal(await panel.prompt('Placebo adapters'), bare);
    assert.match(await panel.prompt('SPRING k=10 + Parametric RAG'), /8144[\s\S]*10 virtual tokens/);
    assert.notEqual(await panel.answer('Placebo adapters'), '');
    await workbench.screenshot('parametric-rag-controls');
  });

  it('shows the adapters in the side panel: size, loss, passage; removes one, and all', async () => {
    await workbench.command('View: Show SPRING');
    const { page } = workbench;
    const header = page.locator('.pane-header', { hasText: 'Adapters' });
    // A click is lost while the side panel is still being laid out.
    await header.waitFor();
    while ((await header.getAttribute('aria-expanded')) !== 'true') {
      await header.click();
      await page.waitForTimeout(500);
    }
    const pane = page.locator('.pane', { has: header });
    const rows = pane.locator('.monaco-list-row');
    await rows
      .first()
      .getByText(/[kM]B · \d+\.\d\d → \d+\.\d\d/)
      .waitFor();
    assert.equal(await rows.count(), 2);
    await rows.filter({ hasText: 'Breathelth' }).hover();
    await page
      .locator('.monaco-hover', { hasText: /8144[\s\S]*For demo, .*kB[\s\S]*Loss [▁-█]+ \d/ })
      .waitFor();
    await workbench.screenshot('adapters');
    await rows.filter({ hasText: 'Breathelth' }).getByRole('button', { name: 'Remove Adapter' }).click();
    await rows.filter({ hasText: 'Breathelth' }).waitFor({ state: 'detached' });
    assert.equal(await rows.count(), 1);
    // What another program puts there is seen after a refresh.
    const [adapter] = storedAdapters(cache);
    cpSync(adapter!, `${adapter!}0`, { recursive: true });
    await header.hover();
    await pane.getByRole('button', { name: 'Refresh Adapters' }).click();
    await rows.nth(1).waitFor();
    await workbench.command('SPRING: Remove All Adapters…');
    await page.locator('.monaco-dialog-box', { hasText: /Remove all 2 adapters.*frees \d/ }).waitFor();
    await page.locator('.monaco-dialog-box').getByRole('button', { name: 'Remove', exact: true }).click();
    await pane.getByText('Parametric RAG turns passages into adapters').waitFor();
    assert.deepEqual(storedAdapters(cache), []);
    // Without them the comparison says again what is missing.
    const panel = new PanelPage(workbench.panel);
    await panel.runAgain();
    await panel.frame
      .getByText(/The ticked passage is not encoded/)
      .first()
      .waitFor();
  });

  it('makes training data from the documents, to be reviewed before training', async () => {
    await workbench.command('SPRING: Train Virtual Tokens…');
    await workbench.answerQuickInput("Questions about this workspace's documents");
    await answerInputBox(workbench, '2');
    await workbench.answerQuickInput('demo');
    await workbench.page.locator('.tab', { hasText: /questions-.*jsonl/ }).waitFor();
    const lines = workbench.page.locator('.editor-instance .view-line', { hasText: '"target":["two"]' });
    await lines.first().waitFor();
    await workbench.screenshot('review');
    // The notification offers the same, until it hides.
    await workbench.command('SPRING: Train Virtual Tokens on This File…');
    await workbench.answerQuickInput('demo');
    await answerInputBox(workbench, '4');
    await workbench.page.locator('.quick-input-message', { hasText: /^6 examples\./ }).waitFor();
    await workbench.page.keyboard.press('Escape');
    await workbench.command('View: Close All Editor Groups');
  });

  it('a killed engine is told, and training goes on from the saved state', async () => {
    await startTraining(workbench, '4', '400 steps');
    await steps()
      .getByText(/Step \d\d+ of 400/)
      .waitFor();
    for (const id of processIds(workbench)) process.kill(id, 'SIGKILL');
    await training()
      .getByText(/training engine was ended by SIGKILL/)
      .waitFor();
    await button('Resume').click();
    await training().getByText('Training…').waitFor();
    await button('Stop').click();
    await training()
      .getByText(/^Stopped\. The best tokens so far/)
      .waitFor();
  });
});

/** Answers what a training on few.jsonl with the demo model asks. */
async function startTraining(workbench: Workbench, virtualTokens: string, length: string): Promise<void> {
  await workbench.command('SPRING: Train Virtual Tokens…');
  await workbench.answerQuickInput('few.jsonl');
  await workbench.answerQuickInput('demo');
  await answerInputBox(workbench, virtualTokens);
  await answerInputBox(workbench, length);
  await workbench.answerQuickInput('0.003');
}

/** Types into an input box (a quick input without a list) and accepts. */
async function answerInputBox(workbench: Workbench, text: string): Promise<void> {
  const widget = workbench.page.locator('.quick-input-widget');
  await widget
    .locator('.quick-input-message', { hasText: /k drawn anew|examples\.|written about each/ })
    .waitFor();
  await widget.locator('input').first().fill(text);
  await workbench.page.keyboard.press('Enter');
  await workbench.page.waitForTimeout(300);
}

/** Folders of the adapters on disk. */
function storedAdapters(cacheFolder: string): string[] {
  const store = join(cacheFolder, 'spring-rag', 'adapters');
  return readdirSync(store, { recursive: true, encoding: 'utf8' })
    .filter((path) => basename(path) === 'passage.json')
    .map((path) => join(store, dirname(path)));
}

/** Augmented data of the first passage that the question finds, as the engine's index cuts it. */
async function augmentedPassages(workspace: string): Promise<unknown> {
  const index = openIndex(join(mkdtempSync(join(tmpdir(), 'spring-rag-index-')), 'index.sqlite'));
  try {
    const progress = index.update([workspace]);
    while (!(await progress.next()).done);
    const { hits } = await index.search(question, { limit: 1 });
    const pair = (asked: string) => ({ question: asked, answer: '8144', full_answer: 'The port is 8144.' });
    const augment = {
      ...{ pid: 0, passage: hits[0]!.text, demo_rewrite: 'Breathelth can be reached on port 8144.' },
      demo_qa: [
        pair(question),
        pair('What is the port of Breathelth?'),
        pair('Where does Breathelth listen?'),
      ],
    };
    return [{ question, answer: '8144', augment: [augment] }];
  } finally {
    index.close();
  }
}

/** Training engines below this test's VS Code. */
function processIds(workbench: Workbench): number[] {
  const rows = execFileSync('ps', ['-eo', 'pid,ppid,args'], { encoding: 'utf8' })
    .split('\n')
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, id, parent, args]) => ({ id: Number(id), parent: Number(parent), args: args! }));
  const parents = new Map(rows.map(({ id, parent }) => [id, parent]));
  const isBelow = (id: number): boolean => {
    for (let at = id; at > 1; at = parents.get(at) ?? 0) if (at === workbench.server.processId) return true;
    return false;
  };
  return rows
    .filter(({ id, args }) => args.includes('engine.mjs training') && isBelow(id))
    .map(({ id }) => id);
}
