import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { ChatView } from './chatView.ts';
import { writeSlowModel } from './fixtures.ts';
import { PanelPage } from './panelPage.ts';
import { engineProcesses, processorSeconds } from './processes.ts';
import { makeTestExtension } from './testExtension.ts';
import { sampleWorkspace, Workbench, type WorkbenchOptions } from './workbench.ts';

const question = 'Which port does Breathelth listen on?';
const contributes = {
  languageModelChatProviders: [{ vendor: 'stub', displayName: 'Stub' }],
  chatParticipants: [{ id: 'test.asker', name: 'asker', fullName: 'Asker', description: 'Calls the tool' }],
};

async function openWithChat(options: WorkbenchOptions): Promise<{ workbench: Workbench; chat: ChatView }> {
  const { folder } = await makeTestExtension('chat', contributes);
  const workbench = await Workbench.open({ ...options, testExtension: { folder } });
  const chat = new ChatView(workbench.page);
  await chat.open('Stub');
  return { workbench, chat };
}

describe('in the chat', () => {
  let workbench: Workbench;
  let chat: ChatView;

  before(async () => {
    ({ workbench, chat } = await openWithChat({ folder: sampleWorkspace() }));
  });
  after(() => workbench.close());

  it('@spring indexes, answers with the local model and cites files with their lines', async () => {
    await chat.ask(`@spring ${question}`);
    await chat.button('Compare Side by Side').waitFor();
    const reply = await chat.reply.innerText();
    assert.match(reply, /^\s*8144$/m);
    assert.match(reply, /\[1\]\s*breathelth\.md:29-31/);
    await workbench.screenshot('chat');
    await chat.reply.getByText('breathelth.md:29-31').first().click();
    await workbench.page.locator('.tab', { hasText: 'breathelth.md' }).waitFor();
    await workbench.page.getByText(/Ln 31, Col \d+ \(\d+ selected\)/).waitFor();
  });

  it('its button asks the same question in the comparison panel', async () => {
    await chat.button('Compare Side by Side').click();
    const panel = new PanelPage(workbench.panel);
    await panel.done();
    assert.equal(await panel.question.inputValue(), question);
    assert.equal(await panel.answer('SPRING k=10'), '8144');
  });

  it('the tool asks the user first, and hands over nothing if refused', async () => {
    await chat.ask(`@asker ${question}`);
    await chat.confirmation('Search the workspace documents?').waitFor();
    await workbench.screenshot('chat-confirmation');
    assert.doesNotMatch(await chat.reply.innerText(), /8144/);
    await chat.choice('Skip').click();
    await chat.reply.getByText(/user chose to skip/).waitFor();
    assert.doesNotMatch(await chat.reply.innerText(), /8144/);
  });

  it('the tool hands over the passages when allowed', async () => {
    await chat.ask(`@asker ${question}`);
    await chat.choice('Allow in this Session').click();
    await chat.reply.getByText('Passages: 4').waitFor();
    assert.match(await chat.reply.innerText(), /"path":"breathelth\.md","startLine":29/);
  });

  it('the tool keeps within the tokens that the assistant has room for', async () => {
    await chat.ask(`@asker budget:60 ${question}`);
    await chat.reply.getByText(/Passages: [123]\b/).waitFor();
  });
});

describe('in the chat, with a slow model', () => {
  it('the end of a reply is the end of the work', async () => {
    const slowModel = mkdtempSync(join(tmpdir(), 'spring-rag-slow-'));
    await writeSlowModel(slowModel);
    const settings = { 'springRag.model': slowModel, 'springRag.maxNewTokens': 1500 };
    const { workbench, chat } = await openWithChat({ folder: sampleWorkspace(), settings });
    try {
      await chat.ask(`@spring ${question}`);
      while ((await chat.reply.innerText()).length < 150) await workbench.page.waitForTimeout(200);
      const [engine] = engineProcesses(workbench, 'inference');
      await chat.stop.click();
      await workbench.page.waitForTimeout(1000);
      const atRest = processorSeconds(engine!);
      await workbench.page.waitForTimeout(2000);
      assert.ok(processorSeconds(engine!) - atRest < 0.5, 'the model goes on writing');
    } finally {
      await workbench.close();
    }
  });
});

describe('in the chat, without documents', () => {
  it('@spring says that no folder is open', async () => {
    const { workbench, chat } = await openWithChat({ folder: null });
    try {
      await chat.ask(`@spring ${question}`);
      await chat.reply.getByText('No folder is open').waitFor();
      await chat.button('Open Folder').waitFor();
    } finally {
      await workbench.close();
    }
  });

  it("a document's text is shown as text", async () => {
    const folder = mkdtempSync(join(tmpdir(), 'spring-rag-hostile-'));
    writeFileSync(
      join(folder, 'harbor.md'),
      '# Harbor\n\nThe port of Harbor is [8080](command:workbench.action.quit).\n',
    );
    const { workbench, chat } = await openWithChat({ folder });
    try {
      await chat.ask('@spring Which port does Harbor listen on?');
      await chat.button('Compare Side by Side').waitFor();
      assert.equal(await chat.reply.locator('.rendered-markdown a[data-href^="command:"]').count(), 0);
    } finally {
      await workbench.close();
    }
  });
});
