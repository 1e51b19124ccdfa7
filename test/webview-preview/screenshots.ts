/**
 * Takes pictures of the panel in every theme and several widths and states, to be looked at:
 *
 *     node test/webview-preview/screenshots.ts FOLDER [NAME-PART]
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { launchBrowser, openPanel, settle } from './panelPage.ts';
import { doneState, emptyState, hostileState, readyState, streamingState, troubledState } from './states.ts';
import { pausedTraining, trainingState } from './trainingStates.ts';
import type { ThemeName } from './themes.ts';

interface Shot {
  entry?: 'panel' | 'training';
  name: string;
  state: unknown;
  themes: ThemeName[];
  widths: number[];
  prepare?: (page: Page) => Promise<void>;
}

const all: ThemeName[] = ['dark', 'light', 'high-contrast'];

const shots: Shot[] = [
  { name: 'empty', state: emptyState, themes: ['dark'], widths: [1000, 320] },
  { name: 'ready', state: readyState, themes: ['light'], widths: [1000] },
  { name: 'streaming', state: streamingState, themes: ['dark'], widths: [1000] },
  { name: 'done', state: doneState, themes: all, widths: [1000] },
  { name: 'done', state: doneState, themes: ['dark'], widths: [320, 600, 1600] },
  {
    name: 'overflow',
    state: { ...doneState, budget: { tokens: 520, room: 462, leftOut: ['p2'] } },
    themes: all,
    widths: [320, 1000],
  },
  { name: 'troubled', state: troubledState, themes: all, widths: [1000] },
  { name: 'hostile', state: hostileState, themes: ['light'], widths: [320, 1000] },
  {
    name: 'confidence',
    state: doneState,
    themes: all,
    widths: [1000],
    prepare: async (page) => {
      await page.getByRole('checkbox', { name: 'Confidence' }).click();
      await page.locator('.answer-text .doubtful').first().waitFor();
      await page.locator('.answer-text .doubtful').first().hover();
    },
  },
  {
    name: 'source',
    state: doneState,
    themes: all,
    widths: [1000],
    prepare: async (page) => {
      await page.locator('a.source').last().click();
    },
  },
  {
    name: 'menus',
    state: doneState,
    themes: ['dark', 'high-contrast'],
    widths: [1000],
    prepare: async (page) => {
      await page.getByRole('button', { name: 'Add a passage by hand' }).click();
      await page.locator('.settings > summary').click();
      await page.locator('.misfits > summary').click();
      await page.getByRole('button', { name: 'Add a column' }).click();
      await page.locator('.prompt > summary').last().click();
    },
  },
];

shots.push(
  { entry: 'training', name: 'training', state: trainingState, themes: all, widths: [1000] },
  { entry: 'training', name: 'training', state: pausedTraining, themes: ['light'], widths: [320] },
);

const [folder = 'screenshots', part = ''] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const browser = await launchBrowser();
try {
  for (const { entry, name, state, themes, widths, prepare } of shots) {
    for (const theme of themes) {
      for (const width of widths) {
        const file = `${name}-${theme}-${width}.png`;
        if (!file.includes(part)) continue;
        const page = await openPanel(browser, { entry, state, theme, width, height: 950 });
        await prepare?.(page);
        await settle(page);
        // A picture of the full page moves the pointer away, and with it the popover.
        await page.screenshot({ path: join(folder, file), fullPage: name !== 'confidence' });
        await page.close();
      }
    }
  }
} finally {
  await browser.close();
}
