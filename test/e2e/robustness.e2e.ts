import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { writeSlowModel } from './fixtures.ts';
import { PanelPage } from './panelPage.ts';
import { engineProcesses } from './processes.ts';
import { root } from './server.ts';
import { sampleWorkspace, Workbench } from './workbench.ts';

const question = 'Which port does Breathelth listen on?';
const hostile = `# Breathelth <img src=x onerror="globalThis.pwned=1">

## Connections

The port of Breathelth is <script>globalThis.pwned=1</script> [8144](command:workbench.action.closeWindow)
<img src="https://example.invalid/probe.png" onerror="globalThis.pwned=1"> and \u202Ereversed\u202C text.
`;

describe('under adverse conditions', () => {
  let workbench: Workbench;
  let panel: PanelPage;
  const folder = sampleWorkspace();
  const slowModel = mkdtempSync(join(tmpdir(), 'spring-rag-slow-'));

  before(async () => {
    await writeSlowModel(slowModel);
    writeFileSync(join(folder, 'breathelth.md'), hostile);
    workbench = await Workbench.open({
      folder,
      settings: {
        'springRag.model': slowModel,
        'springRag.variants': ['no-rag', 'baseline'],
        'springRag.maxNewTokens': 1500,
      },
    });
    panel = new PanelPage(workbench.panel);
    await workbench.command('SPRING: Open Comparison Panel');
  });
  after(() => workbench.close());

  /** Asks and waits until both columns have begun to answer. */
  async function untilMidAnswer(): Promise<void> {
    await panel.question.fill(question);
    await panel.button('Ask').click();
    await panel.column('Baseline').locator('.answer-text', { hasText: /\S/ }).waitFor();
  }

  it('shows hostile text as text, and the page can load and run nothing else', async () => {
    await untilMidAnswer();
    assert.match(await panel.passage(1).innerText(), /<script>globalThis\.pwned=1<\/script>/);
    const probe = await panel.frame.locator('body').evaluate(async () => {
      const refused: string[] = [];
      document.addEventListener('securitypolicyviolation', (event) => refused.push(event.effectiveDirective));
      const script = document.createElement('script');
      script.textContent = 'globalThis.pwned = 1';
      const image = document.createElement('img');
      image.src = 'https://example.invalid/probe.png';
      document.body.append(script, image);
      const fetched = await fetch('https://example.invalid/').then(
        () => 'reached',
        () => 'refused',
      );
      await new Promise((resolve) => setTimeout(resolve, 300));
      script.remove();
      image.remove();
      return { refused, fetched, pwned: 'pwned' in globalThis, images: document.images.length };
    });
    assert.equal(probe.pwned, false);
    assert.equal(probe.fetched, 'refused');
    assert.equal(probe.images, 0);
    for (const directive of ['script-src-elem', 'img-src', 'connect-src']) {
      assert.ok(
        probe.refused.includes(directive),
        `${directive} was not refused: ${probe.refused.join(', ')}`,
      );
    }
  });

  it('stops in mid-answer, keeps what was written, and answers the next question', async () => {
    await panel.button('Cancel').click();
    await panel.answers.locator('.run-note', { hasText: 'Cancelled' }).waitFor();
    assert.match(await panel.answer('Baseline'), /\w/);
    await untilMidAnswer();
  });

  it('survives the death of the engine: says so, starts it again, loses nothing', async () => {
    const engines = engineProcesses(workbench, 'inference');
    assert.equal(engines.length, 1);
    process.kill(engines[0]!, 'SIGKILL');
    await panel.frame
      .getByText(/inference engine was ended by SIGKILL; it is being restarted/)
      .first()
      .waitFor();
    assert.equal(await panel.question.inputValue(), question);
    assert.match(await panel.passage(1).innerText(), /breathelth\.md/);
    await workbench.screenshot('engine-killed');
    await panel.button('Try Again').click();
    await panel.column('Baseline').locator('.answer-text', { hasText: /\S/ }).waitFor();
    assert.notDeepEqual(engineProcesses(workbench, 'inference'), engines);
    await panel.button('Cancel').click();
  });

  it('an index process that is killed comes back with the index', async () => {
    process.kill(engineProcesses(workbench, 'index')[0]!, 'SIGKILL');
    await workbench.page.waitForTimeout(500);
    await panel.question.fill('Which port does Hussor listen on?');
    await panel.button('Ask').click();
    await panel.passage(1).getByText('hussor.md').first().waitFor();
    await panel.button('Cancel').click();
  });
});

describe('in an untrusted workspace', () => {
  let workbench: Workbench;
  const folder = sampleWorkspace();

  before(async () => {
    copyFileSync(join(root, 'media/demo/spring-50.pt'), join(folder, 'own.pt'));
    const outside = join(mkdtempSync(join(tmpdir(), 'spring-rag-outside-')), 'private.md');
    writeFileSync(outside, 'The port of Breathelth is a private matter.');
    symlinkSync(outside, join(folder, 'linked.md'));
    workbench = await Workbench.open({
      folder,
      workspaceTrust: true,
      settings: { 'security.workspace.trust.startupPrompt': 'never' },
    });
  });
  after(() => workbench.close());

  it('answers with the built-in model and says what is limited', async () => {
    const panel = new PanelPage(workbench.panel);
    await workbench.command('SPRING: Open Comparison Panel');
    await panel.status.getByText(/not trusted/).waitFor();
    await panel.ask(question);
    assert.equal(await panel.answer('SPRING k=10'), '8144');
    // A link to a document outside is not followed: 40 files are those of the folder.
    assert.match(await panel.status.innerText(), /40 files indexed/);
    await workbench.screenshot('untrusted');
  });

  it('opens no embedding file of the workspace, and says how it can be', async () => {
    await workbench.command('SPRING: Select Embedding File');
    await workbench.answerQuickInput('A local file…');
    await workbench.answerQuickInput(join(folder, 'own.pt'));
    await workbench.command('Notifications: Show Notifications'); // a toast may be gone by now
    await workbench.notification(/not trusted, so .*own\.pt is not opened/);
    const panel = new PanelPage(workbench.panel);
    await panel.runAgain();
    assert.equal(await panel.answer('SPRING k=10'), '8144');
  });
});

describe('without a folder', () => {
  let workbench: Workbench;

  before(async () => {
    workbench = await Workbench.open({ folder: null });
  });
  after(() => workbench.close());

  it('says that no folder is open, and answers without passages', async () => {
    const panel = new PanelPage(workbench.panel);
    await workbench.command('SPRING: Open Comparison Panel');
    await panel.status.getByText(/No folder is open/).waitFor();
    await panel.ask(question);
    assert.doesNotMatch(await panel.prompt('Baseline'), /\[1\]/);
  });

  it('answers from a passage that is added by hand', async () => {
    const panel = new PanelPage(workbench.panel);
    await panel.button('Add a passage by hand').click();
    await workbench.page.keyboard.type(
      '# Breathelth\n## Connections\nTraffic for Breathelth arrives on port 8144.',
    );
    await workbench.page.keyboard.press('Control+Enter');
    await panel.passage(1).getByText('8144').first().waitFor();
    await panel.ask(question);
    assert.equal(await panel.answer('SPRING k=10'), '8144');
    assert.match(await panel.prompt('Baseline'), /8144/);
    await workbench.screenshot('by-hand');
  });
});

describe('a model that is not used', () => {
  it('leaves the memory after the set time; the next question works', async () => {
    const workbench = await Workbench.open({
      folder: sampleWorkspace(),
      settings: { 'springRag.engine.idleUnloadMinutes': 0.05 },
    });
    try {
      const panel = new PanelPage(workbench.panel);
      await workbench.command('SPRING: Open Comparison Panel');
      await panel.ask(question);
      while (engineProcesses(workbench, 'inference').length > 0) await workbench.page.waitForTimeout(200);
      await panel.status.getByText('The model is loaded with the first question').waitFor();
      assert.equal(engineProcesses(workbench, 'index').length, 1);
      await panel.runAgain();
      assert.equal(await panel.answer('SPRING k=10'), '8144');
    } finally {
      await workbench.close();
    }
  });
});
