/** A VS Code window in headless Chromium, and what a person does in it. */
import { cpSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type FrameLocator, type Locator, type Page } from 'playwright-core';
import { chromiumPath, root, type ServerOptions, VSCodeServer } from './server.ts';

export const screenshots = join(root, '.vscode-test/screenshots');

export interface WorkbenchOptions extends ServerOptions {
  /** Folder to open; null: none. */
  folder: string | null;
  viewport?: { width: number; height: number };
}

/** A copy of the sample workspace that a test may change. */
export function sampleWorkspace(): string {
  const folder = mkdtempSync(join(tmpdir(), 'spring-rag-workspace-'));
  cpSync(join(root, 'samples/workspace'), folder, { recursive: true });
  return folder;
}

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
    const { folder } = this.#options;
    await this.page.goto(
      folder === null ? `${this.server.url}/?ew=true` : `${this.server.url}/?folder=${folder}`,
    );
    await this.page.locator('.monaco-workbench').waitFor({ timeout: 60_000 });
    // The status-bar item is there once the extension is active.
    await this.statusItem.waitFor({ timeout: 60_000 });
  }

  get statusItem(): Locator {
    return this.page.locator('[id="spring-rag.spring-rag.springRag.status"]');
  }

  /** Another window on the same folder. */
  async secondWindow(): Promise<Workbench> {
    const page = await this.page.context().newPage();
    const second = new Workbench(this.server, this.#browser, page, this.#options);
    await second.#load();
    return second;
  }

  async reload(): Promise<void> {
    await this.page.reload();
    await this.page.locator('.monaco-workbench').waitFor({ timeout: 60_000 });
    await this.statusItem.waitFor({ timeout: 60_000 });
  }

  /** Runs a command by its title in the palette, such as `SPRING: Ask`. */
  async command(title: string): Promise<void> {
    const { page } = this;
    const row = page.locator('.quick-input-widget .monaco-list-row', { hasText: title }).first();
    for (let attempt = 0; attempt < 20; attempt++) {
      await page.keyboard.press('F1');
      await page.locator('.quick-input-widget input').first().fill(`>${title}`);
      try {
        await row.waitFor({ timeout: 1500 });
        await row.click();
        return;
      } catch {
        await page.keyboard.press('Escape'); // the list is a snapshot; look again
      }
    }
    throw new Error(`There is no command "${title}" in the palette.`);
  }

  /** Types into the open quick input and accepts. */
  async answerQuickInput(text: string): Promise<void> {
    const input = this.page.locator('.quick-input-widget input').first();
    await input.waitFor();
    await input.fill(text);
    // The list follows the input with a delay.
    await this.page.locator('.quick-input-widget .monaco-list-row').first().waitFor();
    await this.page.keyboard.press('Enter');
  }

  /** The comparison panel's document, two frames deep. */
  get panel(): FrameLocator {
    return this.page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
  }

  async notification(text: string | RegExp): Promise<Locator> {
    const toast = this.page.locator('.notification-list-item', { hasText: text }).first();
    await toast.waitFor({ timeout: 20_000 });
    return toast;
  }

  async screenshot(name: string): Promise<void> {
    mkdirSync(screenshots, { recursive: true });
    await this.page.screenshot({ path: join(screenshots, `${name}.png`) });
  }

  async close(): Promise<void> {
    await this.#browser.close();
    this.server.stop();
  }
}
