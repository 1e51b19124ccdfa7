/** Panels in a real browser for the tests of a `describe`: hooks that start it, and what tests of the comparison need. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach } from 'mocha';
import type { Browser, Locator, Page } from 'playwright-core';
import type { PanelState } from '../../src/protocol/panel.ts';
import { findChromium, launchBrowser, openPanel } from '../webview-preview/panelPage.ts';

export interface PanelInChromium {
  /** The page that `open` has opened last. */
  readonly page: Page;
  open: (state: PanelState, width?: number) => Promise<Page>;
  question: () => Locator;
  /** The name of the control that has the focus. */
  focused: () => Promise<string>;
}

/** Registers the hooks of a browser for all tests; without Chromium they are skipped, in CI they fail. */
export function useChromium(what: string): () => Browser {
  let browser: Browser | undefined;
  before(async function () {
    if (findChromium() === undefined) {
      if (process.env.CI) throw new Error('Chromium is missing: CI must install it.');
      console.warn(`SKIPPED: ${what} in Chromium (no Chromium found; set CHROMIUM to its path)`);
      this.skip();
    }
    browser = await launchBrowser();
  });
  after(() => browser?.close());
  return () => browser!;
}

/** Registers the hooks: one browser for all tests, and after each that the page met no error and no policy. */
export function usePanelInChromium(): PanelInChromium {
  const browser = useChromium('comparison panel');
  let page: Page | undefined;
  let errors: string[] = [];

  beforeEach(() => (errors = []));
  afterEach(async () => {
    if (page === undefined || page.isClosed()) return;
    const violations = await page.evaluate(() => window.violations);
    await page.close();
    assert.deepEqual(errors, []);
    assert.deepEqual(violations, [], 'the content security policy forbade something');
  });

  const current = (): Page => page!;
  return {
    get page() {
      return current();
    },
    open: async (state, width) => {
      page = await openPanel(browser(), { state, width });
      page.on('pageerror', (error) => errors.push(error.message));
      return page;
    },
    question: () => current().getByRole('textbox', { name: 'Question' }),
    focused: () => current().evaluate(() => document.activeElement?.getAttribute('aria-label') ?? ''),
  };
}
