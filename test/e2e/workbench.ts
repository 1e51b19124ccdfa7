/** A VS Code window in headless Chromium, and what a person does in it. */
import { cpSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type FrameLocator, type Locator, type Page } from 'playwright-core';
import { chromiumPath, root, type ServerOptions, VSCodeServer } from './server.ts';

export const screenshots = join(root, '.vscode-test/screenshots');

/** Machines that run tests are slow and shared. */
const patienceMs = Number(process.env['E2E_PATIENCE_MS'] ?? 90_000);

export interface WorkbenchOptions extends ServerOptions {
  /** Folder to open; null: none. */
  folder: string | null;
  viewport?: { width: number; height: number };
  /**
   * Folder of a further extension, loaded from source; `tests` is a module in it whose `run` is called in the extension
   * host.
   */
  testExtension?: { folder: string; tests?: string };
}

/** A copy of the sample workspace that a test may change. */
export function sampleWorkspace(): string {
  const folder = mkdtempSync(join(tmpdir(), 'spring-rag-workspace-'));
  cpSync(join(root, 'samples/workspace'), folder, { recursive: true });
  return folder;
}

/** Windows that are open now, for pictures of failures. */
export const openWorkbenches = new Set<Workbench>();

export class Workbench {
  readonly page: Page;
  readonly server: VSCodeServer;
  readonly #browser: Browser;
  readonly #options: WorkbenchOptions;

  private constructor(server: VSCodeServer, browser: Browser, page: Page, options: WorkbenchOptions) {
    this.server = server;
    this.#browser = browser;
    this.page = page;
    this.#options = options;
    openWorkbenches.add(this);
  }

  /** A server with an empty profile and a window on it. */
  static async open(options: WorkbenchOptions): Promise<Workbench> {
    const server = await VSCodeServer.start(options);
    try {
      const browser = await chromium.launch({
        executablePath: chromiumPath,
        args: [
          ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
          ...['--disable-background-networking', '--disable-component-update'],
        ],
      });
      const context = await browser.newContext({
        viewport: options.viewport ?? { width: 1400, height: 900 },
      });
      await context.grantPermissions(['clipboard-read', 'clipboard-write']);
      const workbench = new Workbench(server, browser, await context.newPage(), options);
      await workbench.#load();
      return workbench;
    } catch (error) {
      server.stop();
      throw error;
    }
  }

  async #load(): Promise<void> {
    const { folder, testExtension } = this.#options;
    this.page.setDefaultTimeout(patienceMs);
    const parameters = new URLSearchParams(folder === null ? { ew: 'true' } : { folder });
    if (testExtension) {
      const remote = `vscode-remote://${new URL(this.server.url).host}`;
      const payload = [['extensionDevelopmentPath', remote + testExtension.folder]];
      if (testExtension.tests !== undefined)
        payload.push(['extensionTestsPath', remote + testExtension.tests]);
      parameters.set('payload', JSON.stringify(payload));
    }
    if (testExtension?.tests !== undefined) {
      await this.page.exposeFunction('codeAutomationLog', (type: string, values: unknown[]) => {
        if (type === 'error') this.#hostOutput.push(values.map(String).join(' '));
      });
      await this.page.exposeFunction('codeAutomationExit', (code: number) => this.#hostExit.resolve(code));
    }
    await this.page.goto(`${this.server.url}/?${parameters.toString()}`);
    await this.page.locator('.monaco-workbench').waitFor();
    // The status-bar item is there once the extension is active.
    await this.statusItem.waitFor();
  }

  readonly #hostExit = Promise.withResolvers<number>();
  readonly #hostOutput: string[] = [];

  /** Waits for the tests in the extension host; throws what they reported if they failed. */
  async hostTestsEnded(): Promise<void> {
    const late = new Promise<'late'>((resolve) => setTimeout(() => resolve('late'), patienceMs));
    const code = await Promise.race([this.#hostExit.promise, late]);
    if (code !== 0)
      throw new Error(`Tests in the extension host: ${String(code)}\n${this.#hostOutput.join('\n')}`);
  }

  get statusItem(): Locator {
    return this.page.locator('[id="spring-rag.spring-rag.springRag.status"]');
  }

  /** Another window on the same folder. */
  async secondWindow(): Promise<Workbench> {
    // A context of its own, as another browser would have: no stored layout, a keyboard focus of its own.
    const context = await this.#browser.newContext({ viewport: this.page.viewportSize() });
    const second = new Workbench(this.server, this.#browser, await context.newPage(), this.#options);
    await second.#load();
    return second;
  }

  async reload(): Promise<void> {
    await this.page.reload();
    await this.page.locator('.monaco-workbench').waitFor();
    await this.statusItem.waitFor();
  }

  /** Runs a command by its title in the palette, such as `SPRING: Ask a Question`. */
  async command(title: string): Promise<void> {
    const { page } = this;
    const row = page.locator('.quick-input-widget .monaco-list-row', { hasText: title }).first();
    const input = page.locator('.quick-input-widget input').first();
    for (let attempt = 0; attempt < 20; attempt++) {
      try {
        await page.keyboard.press('F1');
        await input.fill(`>${title}`, { timeout: 5000 });
        await row.click({ timeout: 5000 });
        return;
      } catch {
        // The key was lost in a frame that was being replaced, or the list, a snapshot, was taken too early.
        await page.keyboard.press('Escape');
      }
    }
    throw new Error(`There is no command "${title}" in the palette.`);
  }

  /** Types into the open quick input and accepts. */
  async answerQuickInput(text: string): Promise<void> {
    const input = this.page.locator('.quick-input-widget input').first();
    await input.waitFor();
    const firstRow = this.page.locator('.quick-input-widget .monaco-list-row').first();
    // A dialog that has just opened may still put in its own proposal; the list follows the input with a delay.
    do {
      await input.fill(text);
      await this.page.waitForTimeout(300);
      await firstRow.waitFor();
    } while ((await input.inputValue()) !== text);
    await this.page.keyboard.press('Enter');
  }

  /** The comparison panel's document, two frames deep. */
  get panel(): FrameLocator {
    return this.page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
  }

  async notification(text: string | RegExp): Promise<Locator> {
    const toast = this.page.locator('.notification-list-item', { hasText: text }).first();
    await toast.waitFor();
    return toast;
  }

  async screenshot(name: string): Promise<void> {
    mkdirSync(screenshots, { recursive: true });
    await this.page.screenshot({ path: join(screenshots, `${name}.png`) });
  }

  async close(): Promise<void> {
    openWorkbenches.delete(this);
    await this.#browser.close();
    this.server.stop();
  }
}
