import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import type { Locator } from 'playwright-core';
import { readVirtualTokens, writeVirtualTokens } from '../../src/checkpoint/virtualTokens.ts';
import { digest, HubServer } from '../fixtures/hub/hubServer.ts';
import { PanelPage } from './panelPage.ts';
import { root } from './server.ts';
import { sampleWorkspace, Workbench } from './workbench.ts';

const accessToken = 'hf_TokenOfTheTest0123456789';
const weights = 'model.safetensors';
const weightsHash = digest('sha256', readFileSync(join(root, 'media/demo', weights)));
const cutAfter = 600_000;

/** A model that cannot be held by any machine that runs tests. */
const hugeShape = {
  ...{ hiddenSize: 65536, intermediateSize: 262144, numLayers: 400, numHeads: 512, numKeyValueHeads: 512 },
  ...{ headDim: 128, vocabSize: 128000, tieWordEmbeddings: false, maxPositionEmbeddings: 8192 },
};

describe('models of the Hub, from an empty profile', () => {
  const hub = new HubServer();
  const home = mkdtempSync(join(tmpdir(), 'spring-rag-hub-home-'));
  let workbench: Workbench;
  let panel: PanelPage;

  before(async () => {
    await hub.start();
    hub.goodTokens.add(accessToken);
    const files = demoFiles();
    const commit = 'c0ffee'.padEnd(40, '0');
    hub.repositories.set('test/tiny', { commit, files });
    hub.repositories.set('test/gated', { commit, files, gated: true });
    hub.repositories.set('test/tokens', {
      commit,
      files: { 'tiny-50.pt': await tokensOfTiny() },
    });
    const downloadBytes = Object.values(files).reduce((sum, bytes) => sum + bytes.length, 0);
    workbench = await Workbench.open({
      folder: sampleWorkspace(),
      environment: {
        HF_HOME: home,
        HF_HUB_CACHE: join(home, 'hub'),
        HF_TOKEN: '',
        HF_HUB_OFFLINE: '',
        HF_ENDPOINT: hub.endpoint,
      },
      settings: {
        'springRag.models': [
          { id: 'tiny', title: 'Tiny Test Model', repository: 'test/tiny', downloadBytes },
          { id: 'gated', title: 'Gated Test Model', repository: 'test/gated', gated: true, downloadBytes },
          { id: 'huge', title: 'Huge Test Model', repository: 'test/huge', shape: hugeShape },
          {
            ...{
              id: 'tiny-tokens',
              title: 'Tiny Test Tokens',
              kind: 'token-file',
              repository: 'test/tokens',
            },
            ...{ file: 'tiny-50.pt', hiddenSize: 128, numTokens: 50, backbone: 'tiny' },
          },
        ],
      },
    });
    panel = new PanelPage(workbench.panel);
  });
  after(async () => {
    await workbench.close();
    await hub.stop();
    rmSync(home, { recursive: true, force: true });
  });
  afterEach(async function () {
    if (this.currentTest?.state !== 'failed') return;
    await workbench.command('Notifications: Show Notifications');
    await workbench.screenshot('models-failed');
  });
  beforeEach(() => {
    hub.fault = () => undefined;
    hub.requests.length = 0;
  });

  const row = (text: string): Locator =>
    workbench.page.locator('.quick-input-widget .monaco-list-row', { hasText: text }).first();
  const dialogButton = (name: string): Locator =>
    workbench.page.locator('.monaco-dialog-box').getByRole('button', { name, exact: true });

  /** Runs a command that shows a list and narrows it; the row with that title. */
  async function find(command: string, title: string): Promise<Locator> {
    const input = workbench.page.locator('.quick-input-widget input').first();
    for (let attempt = 0; ; attempt++) {
      await workbench.command(command);
      try {
        await input.fill(title, { timeout: 5000 });
        await row(title).waitFor({ timeout: 10_000 });
        return row(title);
      } catch (error) {
        // The list closes when something else takes the focus, such as the panel at the end of a run.
        if (attempt === 5) throw error;
      }
    }
  }

  /** A notification, in the list of notifications: toasts come and go with the focus of the window. */
  async function notification(text: RegExp): Promise<Locator> {
    const shown = workbench.page
      .locator('.notifications-center .notification-list-item', { hasText: text })
      .first();
    for (let attempt = 0; ; attempt++) {
      // The list closes when its last notification goes.
      await workbench.command('Notifications: Show Notifications');
      try {
        await shown.waitFor({ timeout: 3000 });
        return shown;
      } catch (error) {
        if (attempt === 20) throw error;
      }
    }
  }
  const isWeights = ({ path }: { path: string }): boolean => path === `/${weightsHash}`;

  it('a download that is cut goes on where it ended, and the model answers', async () => {
    let attempts = 0;
    hub.fault = (request) => {
      if (!isWeights(request)) return undefined;
      return attempts++ === 0 ? { kind: 'cut', after: cutAfter } : { kind: 'status', status: 503 };
    };
    await workbench.command('SPRING: Select Model');
    await workbench.page.locator('.quick-input-list', { hasText: 'On this machine' }).waitFor();
    await workbench.screenshot('select-model');
    await workbench.page.keyboard.press('Escape');
    const found = await find('SPRING: Select Model', 'Tiny Test Model');
    assert.match(await found.innerText(), /download, 2\.\d MB/);
    await found.click();
    await notification(/Downloading Tiny Test Model/);
    const failed = await notification(/The Hub answered with status 503/);
    await workbench.screenshot('download-failed');
    await failed.locator('.codicon-notifications-clear').click();

    hub.fault = () => undefined;
    hub.requests.length = 0;
    await (await find('SPRING: Select Model', 'Tiny Test Model')).click();
    await panelShows(/tiny/);
    const ranges = hub.requests.filter(isWeights).map(({ range }) => range);
    // What came before the cut is not fetched again.
    assert.match(ranges.join(), /^bytes=[1-9]\d*-$/);

    await workbench.command('SPRING: Open Comparison Panel');
    await panel.ask('Which port does Breathelth listen on?');
    assert.equal(await panel.answer('SPRING k=10'), '8144');
    // The built-in embedding file has the right width, but belongs to the built-in model.
    await panel.frame.getByText(/^Warning: .*trained for demo/).waitFor();
    await workbench.screenshot('other-backbone');
  });

  it('an embedding file is downloaded for the model that it was trained for', async () => {
    const found = await find('SPRING: Select Embedding File', 'Tiny Test Tokens');
    await workbench.screenshot('select-token-file');
    await found.click();
    await panel.frame.getByText(/^Warning: /).waitFor({ state: 'hidden' });
    await panel.runAgain();
    assert.equal(await panel.answer('SPRING k=10'), '8144');
  });

  it('a gated model asks for a token, which is sent to the Hub alone and stored nowhere in clear', async () => {
    await (await find('SPRING: Select Model', 'Gated Test Model')).click();
    await workbench.page.locator('.monaco-dialog-box', { hasText: 'is gated' }).waitFor();
    await workbench.screenshot('gated');
    await dialogButton('Enter an Access Token').click();
    const input = workbench.page.locator('.quick-input-widget input[type=password]');
    await input.waitFor();
    await input.fill(accessToken);
    await workbench.page.keyboard.press('Enter');
    await input.waitFor({ state: 'hidden' });
    await panelShows(/gated/);
    const authorized = hub.requests.filter(({ authorization }) => authorization !== undefined);
    assert.ok(authorized.some(({ path }) => path.includes(weights)));
    assert.ok(authorized.every(({ server }) => server === 'hub'));
    for (const folder of [workbench.server.dataFolder, home]) {
      const found = filesWith(folder, accessToken);
      assert.deepEqual(found, [], `the token stands in ${found.join(', ')}`);
    }
  });

  it('warns before a model that this machine cannot hold is downloaded', async () => {
    await (await find('SPRING: Select Model', 'Huge Test Model')).click();
    await workbench.page.locator('.monaco-dialog-box', { hasText: /even in int4/ }).waitFor();
    await workbench.screenshot('too-large');
    await dialogButton('Choose Another').click();
    await workbench.page.locator('.quick-input-list', { hasText: 'On this machine' }).waitFor();
    await workbench.page.keyboard.press('Escape');
    assert.deepEqual(hub.requests, []);
  });

  it('removes a downloaded model after asking, and its bytes are gone', async () => {
    const folder = join(home, 'hub/models--test--gated');
    assert.ok(readdirSync(folder).length > 0);
    await (await find('SPRING: Remove Downloaded Model', 'Gated Test Model')).click();
    await workbench.page.locator('.monaco-dialog-box', { hasText: /This frees 2\.\d MB/ }).waitFor();
    await dialogButton('Remove').click();
    await notification(/Gated Test Model was removed/);
    assert.deepEqual(
      readdirSync(join(home, 'hub')).filter((name) => name.includes('gated')),
      [],
    );
    // The model that was in use is gone: the built-in one takes its place.
    await panelShows(/demo/);
  });

  /** Waits until the model that is in use is of that name, as the panel's list of models says. */
  async function panelShows(name: RegExp): Promise<void> {
    await workbench.command('SPRING: Open Comparison Panel');
    const list = panel.frame.getByRole('combobox', { name: 'Model' });
    await list.filter({ hasText: name }).waitFor();
    for (let attempt = 0; ; attempt++) {
      const selected = await list.evaluate((element) => (element as HTMLSelectElement).value);
      if (name.test(selected)) return;
      assert.ok(attempt < 300, `the model is ${selected}`);
      await workbench.page.waitForTimeout(200);
    }
  }
});

/** The built-in virtual tokens, changed where it does not matter: else their hash would tell where they are from. */
async function tokensOfTiny(): Promise<Buffer> {
  const { data, hiddenSize } = await readVirtualTokens(join(root, 'media/demo/spring-50.pt'));
  data[data.length - 1]! += 1e-3;
  const folder = mkdtempSync(join(tmpdir(), 'spring-rag-tokens-'));
  const file = join(folder, 'tiny-50.pt');
  await writeVirtualTokens(file, data, hiddenSize);
  const bytes = readFileSync(file);
  rmSync(folder, { recursive: true });
  return bytes;
}

/** The built-in model's files, as a repository of the Hub. */
function demoFiles(): Record<string, Buffer> {
  const folder = join(root, 'media/demo');
  const names = readdirSync(folder).filter((name) => /\.(json|safetensors)$/.test(name));
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name))]));
}

function filesWith(folder: string, text: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => readFileSync(path).includes(text));
}
