/** The comparison panel's bundle in a real browser, with a stand-in for the extension host. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import type { Browser, Page } from 'playwright-core';
import type { PanelState } from '../../src/protocol/panel.ts';
import {
  findChromium,
  launchBrowser,
  openPanel,
  sendToPanel,
  sentRequests,
  settle,
} from '../webview-preview/panelPage.ts';
import {
  arabicText,
  column,
  demoTokens,
  doneState,
  emptyState,
  hostileState,
  hostileText,
  readyState,
  streamingState,
  tokensOf,
  troubledState,
} from '../webview-preview/states.ts';

describe('comparison panel in Chromium', function () {
  let browser: Browser | undefined;
  let page: Page;

  before(async function () {
    if (findChromium() === undefined) {
      if (process.env.CI) throw new Error('Chromium is missing: CI must install it.');
      console.warn('SKIPPED: comparison panel in Chromium (no Chromium found; set CHROMIUM to its path)');
      this.skip();
    }
    browser = await launchBrowser();
  });
  after(() => browser?.close());

  const open = async (state: PanelState, width?: number): Promise<Page> => {
    page = await openPanel(browser!, { state, width });
    page.on('pageerror', (error) => errors.push(error.message));
    return page;
  };
  let errors: string[] = [];
  beforeEach(() => (errors = []));
  afterEach(async () => {
    if (browser === undefined || page.isClosed()) return;
    const violations = await page.evaluate(() => window.violations);
    await page.close();
    assert.deepEqual(errors, []);
    assert.deepEqual(violations, [], 'the content security policy forbade something');
  });

  const question = () => page.getByRole('textbox', { name: 'Question' });
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? '');

  it('asks by keyboard: typing, Ctrl+Enter, and Escape to cancel', async () => {
    await open(readyState);
    await question().focus();
    await page.keyboard.type('Which port?');
    await page.keyboard.press('Control+Enter');
    await settle(page);
    assert.deepEqual(await sentRequests(page, 'edit'), [{ question: 'Which port?' }]);
    assert.deepEqual(await sentRequests(page, 'ask'), [{ question: 'Which port?' }]);
    await sendToPanel(page, { type: 'patch', patch: { run: { kind: 'streaming' } } });
    assert.equal(await page.getByRole('button', { name: 'Ask' }).count(), 0);
    await page.keyboard.press('Control+Enter');
    assert.equal((await sentRequests(page, 'ask')).length, 1, 'no second run while one is under way');
    await page.keyboard.press('Escape');
    assert.equal((await sentRequests(page, 'cancel')).length, 1);
  });

  it('does not ask an empty question', async () => {
    await open(readyState);
    await question().focus();
    await page.keyboard.type('  ');
    await page.keyboard.press('Control+Enter');
    assert.deepEqual(await sentRequests(page, 'ask'), []);
  });

  it('streams tokens without moving the focus, rebuilding the answers or losing a selection', async () => {
    await open(streamingState);
    await question().focus();
    await page.evaluate(() => {
      const text = document.querySelector('.answer-text')!.firstChild!;
      const range = document.createRange();
      range.setStart(text, 0);
      range.setEnd(text, 5);
      Object.assign(window, { keptNode: text, keptRange: range });
    });
    const before = await page.locator('.answer-text').first().textContent();
    for (let batch = 0; batch < 5; batch++) {
      const tokens = [0, 1, 3].map((place) => ({ column: place, tokens: tokensOf(` batch ${batch}`) }));
      await sendToPanel(page, { type: 'tokens', tokens });
    }
    const texts = await page.locator('.answer-text').allTextContents();
    assert.equal(texts[0], `${before} batch 0 batch 1 batch 2 batch 3 batch 4`);
    assert.ok(texts[3]?.startsWith('batch 0'), 'white space before the first word is left out');
    const kept = await page.evaluate(() => {
      const { keptNode, keptRange } = window as unknown as { keptNode: Node; keptRange: Range };
      return [document.querySelector('.answer-text')!.firstChild === keptNode, keptRange.toString().length];
    });
    assert.deepEqual(kept, [true, 5]);
    assert.equal(await focused(), 'Question');
  });

  it('hands the focus from Ask to Cancel and back', async () => {
    await open(doneState);
    await page.getByRole('button', { name: 'Ask' }).focus();
    await page.keyboard.press('Enter');
    await sendToPanel(page, { type: 'patch', patch: { run: { kind: 'retrieving' } } });
    assert.equal(await focused(), 'Cancel');
    await sendToPanel(page, { type: 'patch', patch: { run: doneState.run } });
    assert.equal(await focused(), 'Ask');
  });

  it('shows hostile text as text', async () => {
    await open(hostileState);
    await page.getByRole('checkbox', { name: 'Confidence' }).click();
    await settle(page);
    await page.getByRole('checkbox', { name: 'Confidence' }).click();
    await settle(page);
    const found = await page.evaluate(() => ({
      images: document.querySelectorAll('main img, main script, main b').length,
      links: [...document.querySelectorAll('main a')].filter((link) => !link.matches('.source')).length,
      hacked: window.hacked,
    }));
    assert.deepEqual(found, { images: 0, links: 0, hacked: undefined });
    assert.equal(await question().inputValue(), hostileText);
    // The number of the passage stands behind a stretch that was found in it.
    const answer = await page.locator('.answer-text').first().textContent();
    assert.equal(answer?.replace(/1(?=;?$)/, ''), hostileText);
    assert.ok((await page.locator('.passage-text').first().textContent())?.includes('<script>'));
    assert.ok((await page.locator('.face-error').first().textContent())?.includes(hostileText));
  });

  it('lets right-to-left text run from right to left', async () => {
    await open({ ...hostileState, inputs: { ...hostileState.inputs, question: arabicText } });
    const directions = await page.evaluate(() =>
      [...document.querySelectorAll('.passage-text')].map((text) => getComputedStyle(text).direction),
    );
    assert.deepEqual(directions, ['ltr', 'rtl', 'ltr']);
    assert.equal(await question().evaluate((field) => getComputedStyle(field).direction), 'rtl');
    assert.equal(
      await page
        .locator('.answer-text')
        .nth(1)
        .evaluate((text) => getComputedStyle(text).direction),
      'rtl',
    );
  });

  for (const [width, stacked] of [
    [320, true],
    [1000, false],
    [1600, false],
  ] as const) {
    it(`fits ${width} pixels, columns ${stacked ? 'one below the other' : 'side by side'}`, async () => {
      await open(hostileState, width);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(overflow <= 0, `the page is ${overflow} px too wide`);
      const [first, second] = await page.locator('.column').all();
      const a = (await first!.boundingBox())!;
      const b = (await second!.boundingBox())!;
      assert.equal(b.y > a.y, stacked);
      assert.equal(b.x > a.x, !stacked);
    });
  }

  it('keeps all inputs, answers and its own view over a reload', async () => {
    await open(doneState);
    await question().fill('Another question');
    await page.getByRole('checkbox', { name: 'Found in passages' }).click();
    await settle(page);
    await page.evaluate(() => window.dispatchEvent(new Event('pagehide')));
    const stored = await page.evaluate(() => JSON.parse(sessionStorage.getItem('state')!) as PanelState);
    assert.equal(stored.inputs.question, 'Another question');
    assert.deepEqual(stored.columns, JSON.parse(JSON.stringify(doneState.columns)));
    // The host sends back what VS Code gave it: here what was stored.
    await page.addInitScript(() => {
      window.firstState = JSON.parse(sessionStorage.getItem('state')!);
    });
    await page.reload();
    await page.waitForFunction(() => document.querySelector('main:not(.waiting) *') !== null);
    await settle(page);
    assert.equal(await question().inputValue(), 'Another question');
    assert.equal(await page.locator('.column').count(), 4);
    assert.equal(await page.getByRole('checkbox', { name: 'Found in passages' }).isChecked(), false);
    assert.equal(await page.locator('a.source').count(), 0);
  });

  it('ticks, unfolds, opens, moves and removes passages', async () => {
    await open(doneState);
    await page.getByRole('checkbox', { name: 'corda.md:5–9' }).nth(1).click();
    await settle(page);
    assert.deepEqual((await sentRequests(page, 'tickPassages')).at(-1), { ids: ['p1', 'p2', 'p3', 'p4'] });
    await page.getByRole('button', { name: 'Untick all passages' }).click();
    await settle(page);
    assert.deepEqual((await sentRequests(page, 'tickPassages')).at(-1), { ids: [] });
    await page.getByText('0 of 4 ticked').waitFor();
    await page.getByText('These answers belong to earlier inputs.').waitFor();
    const second = page.locator('.passage').nth(1);
    const unfold = second.getByRole('button', { name: 'Show the whole passage' });
    await unfold.click();
    await settle(page);
    assert.equal(await unfold.getAttribute('aria-expanded'), 'true');
    await second.getByRole('button', { name: 'Open the document at these lines' }).click();
    await second.getByRole('button', { name: 'Move up' }).click();
    await second.getByRole('button', { name: 'Remove' }).click();
    assert.deepEqual(await sentRequests(page, 'openPassage'), [{ id: 'p2' }]);
    assert.deepEqual(await sentRequests(page, 'movePassage'), [{ id: 'p2', to: 0 }]);
    assert.deepEqual(await sentRequests(page, 'removePassage'), [{ id: 'p2' }]);
    await page.getByRole('button', { name: 'Run again' }).first().click();
    assert.equal((await sentRequests(page, 'rerun')).length, 1);
    assert.equal((await sentRequests(page, 'ask')).length, 0);
  });

  it('adds a passage by hand, by keyboard alone', async () => {
    await open(emptyState);
    await page.getByRole('button', { name: 'Add a passage by hand' }).focus();
    await page.keyboard.press('Enter');
    await settle(page);
    await page.keyboard.type('A fact.');
    await page.keyboard.press('Control+Enter');
    assert.deepEqual(await sentRequests(page, 'addPassage'), [{ text: 'A fact.' }]);
    assert.deepEqual(await sentRequests(page, 'ask'), []);
    assert.equal(await focused(), 'Add a passage by hand');
  });

  it('leads from a stretch of an answer to its place in the passage', async () => {
    await open(doneState);
    await page.locator('a.source').last().focus();
    await page.keyboard.press('Enter');
    await settle(page);
    await settle(page);
    assert.equal(await page.locator('.passage-mark').textContent(), '9787');
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'passage-text-p1');
    assert.equal(
      await page
        .locator('.passage')
        .first()
        .evaluate((item) => item.classList.contains('unfolded')),
      true,
    );
  });

  it('marks differences from the chosen column and says them in words', async () => {
    await open(doneState);
    const marked = () => page.locator('.column').nth(3).locator('ins').allTextContents();
    assert.deepEqual(await marked(), []);
    await page.getByRole('combobox', { name: 'Column with which the others are compared' }).click();
    await page.getByRole('option', { name: 'No retrieval' }).click();
    await settle(page);
    assert.deepEqual(await marked(), ['9787']);
    assert.ok(
      (await page.locator('.column').nth(3).textContent())?.includes('+1 −15 words against No retrieval'),
    );
  });

  it('shows the alternatives of a doubtful token on focus and hover; Escape closes them', async () => {
    await open(doneState);
    await page.getByRole('checkbox', { name: 'Confidence' }).click();
    await settle(page);
    const popover = page.getByRole('tooltip');
    await page.locator('.answer-text [tabindex="0"]').first().focus();
    await popover.waitFor();
    const first = await popover.textContent();
    await page.keyboard.press('ArrowRight');
    assert.notEqual(await popover.textContent(), first);
    const described = await page.evaluate(() => document.activeElement?.getAttribute('aria-describedby'));
    assert.equal(described, 'token-popover');
    await page.keyboard.press('Escape');
    assert.equal(await popover.isVisible(), false);
    await page.locator('.answer-text .doubtful').last().hover();
    await popover.waitFor();
    assert.deepEqual(await sentRequests(page, 'cancel'), []);
  });

  it('sets k by slider and number field, within the rows of the file', async () => {
    await open(readyState);
    const slider = page.getByRole('slider', { name: 'k, virtual tokens' });
    await slider.focus();
    await page.keyboard.press('ArrowRight');
    await settle(page);
    assert.equal(await slider.getAttribute('aria-valuetext'), '11 of 50 virtual tokens');
    await page.getByRole('spinbutton', { name: 'k, virtual tokens, as a number' }).fill('400');
    await page.keyboard.press('Tab');
    await settle(page);
    assert.equal(await slider.inputValue(), '50');
    await page.getByRole('heading', { name: 'SPRING k=50' }).waitFor();
  });

  it('offers the embedding files that fit and says why the others do not', async () => {
    await open(readyState);
    const list = page.getByRole('combobox', { name: 'Embedding file' });
    await list.click();
    await list.getByRole('option').first().waitFor();
    assert.deepEqual(await list.getByRole('option').allTextContents(), ['spring-50.pt  50×160, built in']);
    await page.keyboard.press('Escape');
    await page.getByText('1 other file does not fit').click();
    await page.getByText('its rows are 4096 wide', { exact: false }).waitFor();
    await page.getByRole('button', { name: 'Choose another embedding file' }).click();
    assert.equal((await sentRequests(page, 'pickTokenFile')).length, 1);
    const other = { ...demoTokens, path: '/other.pt', name: 'other.pt', rows: 4 };
    const patch = {
      tokenFiles: [demoTokens, other],
      tokenFileFit: {},
      inputs: { ...readyState.inputs, tokenFile: other.path, k: 4 },
    };
    await sendToPanel(page, { type: 'patch', patch });
    assert.equal(await list.evaluate((element) => (element as HTMLSelectElement).value), '/other.pt');
    assert.equal(await page.getByRole('slider').getAttribute('max'), '4');
    await sendToPanel(page, { type: 'state', state: troubledState });
    await page.getByText('Error: its rows are 4096 wide', { exact: false }).waitFor();
  });

  it('adds, moves and removes columns', async () => {
    await open(doneState);
    await page.getByRole('button', { name: 'Add a column' }).click();
    await page.getByRole('spinbutton', { name: 'k of the column' }).fill('3');
    await page.getByRole('button', { name: 'SPRING at a fixed k' }).click();
    await settle(page);
    assert.deepEqual(await page.locator('.column-title').allTextContents(), [
      'No retrieval',
      'Baseline',
      'Instruction prompt',
      'SPRING k=10',
      'SPRING k=3',
    ]);
    const last = page.locator('.column').last();
    assert.ok((await last.textContent())?.includes('Not run yet'));
    await last.getByRole('button', { name: 'Move the column to the left' }).click();
    await page.locator('.column').first().getByRole('button', { name: 'Remove the column' }).click();
    await settle(page);
    assert.deepEqual(await page.locator('.column-title').allTextContents(), [
      'Baseline',
      'Instruction prompt',
      'SPRING k=3',
      'SPRING k=10',
    ]);
    await page.waitForFunction(() => window.sent.some(({ name }) => name === 'edit'));
    assert.deepEqual((await sentRequests(page, 'edit')).at(-1), {
      columns: [{ kind: 'baseline' }, { kind: 'prompt' }, { kind: 'spring', k: 3 }, { kind: 'spring' }],
    });
  });

  it('gives every state a face with a way out', async () => {
    await open(emptyState);
    await page.getByRole('button', { name: 'Index Workspace' }).click();
    await page.getByRole('button', { name: 'Use the Demo Model' }).click();
    assert.deepEqual(await sentRequests(page, 'runAction'), [
      { action: 'index-workspace' },
      { action: 'use-demo-model' },
    ]);
    await sendToPanel(page, { type: 'state', state: troubledState });
    assert.equal(
      await page
        .getByRole('progressbar', { name: 'Indexing' })
        .evaluate((bar) => (bar as HTMLProgressElement).value),
      12,
    );
    await page.getByRole('button', { name: 'Try Again' }).click();
    assert.deepEqual((await sentRequests(page, 'runAction')).at(-1), { action: 'retry' });
    const cancelled = column('baseline', 'Baseline', '', { status: 'cancelled', answer: null });
    const patch = { run: { kind: 'cancelled', stale: false }, columns: [cancelled] };
    await sendToPanel(page, { type: 'patch', patch });
    await page.getByText('Cancelled before the first token').waitFor();
    await page.getByRole('button', { name: 'Run Again', exact: true }).click();
    assert.equal((await sentRequests(page, 'rerun')).length, 1);
  });

  it('says why a request failed', async () => {
    await open(doneState);
    await page.evaluate(() => {
      window.replies.saveRecord = { error: { kind: 'user', message: 'The disk is full.' } };
    });
    await page.getByRole('button', { name: 'Save…' }).click();
    await settle(page);
    const alert = page.getByRole('alert').filter({ hasText: 'The disk is full.' });
    await alert.waitFor();
    await alert.getByRole('button', { name: 'Dismiss' }).click();
    await settle(page);
    assert.equal(await alert.count(), 0);
  });

  it('tells screen readers what happens, not every token', async () => {
    await open(streamingState);
    const live = page.locator('.visually-hidden[role=status]');
    await sendToPanel(page, { type: 'tokens', tokens: [{ column: 0, tokens: tokensOf(' x') }] });
    assert.equal(await live.textContent(), '');
    await sendToPanel(page, { type: 'state', state: doneState });
    assert.ok((await live.textContent())?.includes('SPRING k=10: 9787.'));
  });

  it('can be left and entered by the Tab key alone: every control has a name', async () => {
    await open(doneState);
    const nameless = await page.evaluate(() =>
      [
        ...document.querySelectorAll<HTMLElement>(
          'main :is(vscode-button, vscode-checkbox, vscode-dropdown, input, summary, a, [role=button])',
        ),
      ]
        .filter((control) => control.offsetParent !== null)
        .filter((control) => {
          const labels = control instanceof HTMLInputElement ? (control.labels?.length ?? 0) : 0;
          return !control.getAttribute('aria-label') && !control.textContent.trim() && labels === 0;
        })
        .map((control) => control.outerHTML),
    );
    assert.deepEqual(nameless, []);
    await page.getByRole('checkbox', { name: '1 corda.md:5–9', exact: true }).waitFor();
    await page.getByRole('link', { name: '9787', exact: true }).waitFor();
    await question().focus();
    const visited = new Set<string>();
    for (let press = 0; press < 80; press++) {
      await page.keyboard.press('Tab');
      visited.add(await page.evaluate(() => document.activeElement?.outerHTML.slice(0, 200) ?? ''));
    }
    assert.ok(visited.size > 30, `only ${visited.size} stops`);
  });
});
