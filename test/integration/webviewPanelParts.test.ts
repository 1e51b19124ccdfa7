/** The comparison panel's bundle in a real browser, with a stand-in for the extension host: passages, marks, inputs, columns. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { usePanelInChromium } from '../support/panelInChromium.ts';
import { sendToPanel, sentRequests, settle } from '../webview-preview/panelPage.ts';
import {
  demoTokens,
  doneState,
  emptyState,
  readyState,
  tokensOf,
  troubledState,
} from '../webview-preview/states.ts';

describe('parts of the comparison panel in Chromium', () => {
  const panel = usePanelInChromium();

  it('ticks, unfolds, opens, moves and removes passages', async () => {
    await panel.open(doneState);
    await panel.page.getByRole('checkbox', { name: 'corda.md:5–9' }).nth(1).click();
    await settle(panel.page);
    assert.deepEqual((await sentRequests(panel.page, 'tickPassages')).at(-1), {
      ids: ['p1', 'p2', 'p3', 'p4'],
    });
    await panel.page.getByRole('button', { name: 'Untick all passages' }).click();
    await settle(panel.page);
    assert.deepEqual((await sentRequests(panel.page, 'tickPassages')).at(-1), { ids: [] });
    await panel.page.getByText('0 of 4 ticked').waitFor();
    await panel.page.getByText('These answers belong to earlier inputs.').waitFor();
    const second = panel.page.locator('.passage').nth(1);
    await second.getByRole('button', { name: 'More of the passage' }).click();
    await settle(panel.page);
    const fold = second.getByRole('button', { name: 'Less of the passage' });
    assert.equal(await fold.getAttribute('aria-expanded'), 'true');
    await second.getByRole('button', { name: 'Open the document at these lines' }).click();
    await second.getByRole('button', { name: 'Move up' }).click();
    await second.getByRole('button', { name: 'Remove' }).click();
    assert.deepEqual(await sentRequests(panel.page, 'openPassage'), [{ id: 'p2' }]);
    assert.deepEqual(await sentRequests(panel.page, 'movePassage'), [{ id: 'p2', to: 0 }]);
    assert.deepEqual(await sentRequests(panel.page, 'removePassage'), [{ id: 'p2' }]);
    await panel.page.getByRole('button', { name: 'Run again' }).first().click();
    assert.equal((await sentRequests(panel.page, 'rerun')).length, 1);
    assert.equal((await sentRequests(panel.page, 'ask')).length, 0);
  });

  it('adds a passage by hand, by keyboard alone', async () => {
    await panel.open(emptyState);
    await panel.page.getByRole('button', { name: 'Add a passage by hand' }).focus();
    await panel.page.keyboard.press('Enter');
    await settle(panel.page);
    await panel.page.keyboard.type('A fact.');
    await panel.page.keyboard.press('Control+Enter');
    assert.deepEqual(await sentRequests(panel.page, 'addPassage'), [{ text: 'A fact.' }]);
    assert.deepEqual(await sentRequests(panel.page, 'ask'), []);
    assert.equal(await panel.focused(), 'Add a passage by hand');
  });

  it('leads from a stretch of an answer to its place in the passage', async () => {
    await panel.open(doneState);
    await panel.page.locator('a.source').last().focus();
    await panel.page.keyboard.press('Enter');
    await settle(panel.page);
    await settle(panel.page);
    assert.equal(await panel.page.locator('.passage-mark').textContent(), '9787');
    assert.equal(await panel.page.evaluate(() => document.activeElement?.id), 'passage-text-p1');
    assert.equal(
      await panel.page
        .locator('.passage')
        .first()
        .evaluate((item) => item.classList.contains('unfolded')),
      true,
    );
  });

  it('names columns for people even where the engine has not named them', async () => {
    const columns = doneState.columns.map((item) => ({ ...item, label: item.variant, answer: null }));
    await panel.open({ ...doneState, columns });
    const reference = panel.page.getByRole('combobox', { name: 'Column with which the others are compared' });
    await reference.click();
    await panel.page.getByRole('option', { name: 'No retrieval' }).waitFor();
    assert.equal(await panel.page.getByRole('option', { name: 'no-rag' }).count(), 0);
  });

  it('greys the marks that confidence takes the place of', async () => {
    await panel.open(doneState);
    const box = (name: string) => panel.page.getByRole('checkbox', { name });
    await box('Confidence').click();
    await settle(panel.page);
    assert.equal(await box('Differences from').isDisabled(), true);
    assert.equal(await box('Found in passages').isDisabled(), true);
    assert.equal(await panel.page.locator('.answer-text ins, a.source').count(), 0);
    await box('Confidence').click();
    await settle(panel.page);
    assert.equal(await box('Found in passages').isDisabled(), false);
    assert.ok((await panel.page.locator('a.source').count()) > 0);
  });

  it('keeps headings on one line and says why a number is not taken', async () => {
    const titlePath = Array.from({ length: 8 }, (_, depth) => `A long heading of depth ${depth}`);
    const passages = doneState.passages.map((item) => ({ ...item, titlePath }));
    await panel.open({ ...doneState, passages }, 700);
    const headings = panel.page.locator('.passage-headings').first();
    assert.ok((await headings.boundingBox())!.height < 25);
    assert.equal(await headings.getAttribute('title'), titlePath.join(' › '));
    await panel.page.getByRole('spinbutton', { name: 'Tick the first' }).fill('100');
    await panel.page.getByText('1 to 50').waitFor();
    assert.deepEqual(await sentRequests(panel.page, 'edit'), []);
  });

  it('says before a run what the passages take and which have no room', async () => {
    await panel.open({ ...doneState, budget: { tokens: 1500, room: 462, leftOut: ['p2', 'p4'] } });
    const { page } = panel;
    await page.getByText('1,500 of 462 tokens for the longest prompt').waitFor();
    await page.getByText('Too long: passages 2 and 4 will be left out.').waitFor();
    const rooms = await page
      .locator('.passage')
      .evaluateAll((rows) =>
        rows.map((row) => row.querySelector<HTMLElement>('.budget-warning')!.offsetParent !== null),
      );
    assert.deepEqual(rooms, [false, true, false, true]);
    await sendToPanel(page, { type: 'patch', patch: { budget: { tokens: 300, room: 462, leftOut: [] } } });
    await page.getByText('300 of 462 tokens').waitFor();
    assert.equal(await page.locator('.budget .budget-warning').isVisible(), false);
    await sendToPanel(page, { type: 'patch', patch: { budget: null } });
    assert.equal(await page.locator('.budget').isVisible(), false);
  });

  it('lets the prompt be cut at its start instead', async () => {
    await panel.open(doneState);
    const { page } = panel;
    await page.locator('.settings > summary').click();
    await page.getByRole('combobox', { name: 'Prompt too long' }).click();
    await page.getByRole('option', { name: /Cut its start/ }).click();
    await page.waitForTimeout(300);
    const [sent] = await sentRequests(page, 'edit');
    assert.equal((sent!['settings'] as { longPrompt: string }).longPrompt, 'cut-left');
  });

  it('proposes a k that no column has', async () => {
    await panel.open(doneState);
    await panel.page.getByRole('button', { name: 'Add a column' }).click();
    const k = panel.page.getByRole('spinbutton', { name: 'k of the column' });
    assert.equal(await k.inputValue(), '50');
    await panel.page.getByRole('button', { name: 'SPRING at a fixed k' }).click();
    await panel.page.getByText('Not run yet').waitFor();
    assert.equal(await panel.page.getByText('These answers belong to earlier inputs.').count(), 0);
    await panel.page.getByRole('button', { name: 'Add a column' }).click();
    assert.equal(await k.inputValue(), '5');
  });

  it('credits only passages of the column’s own prompt, under the prompt’s numbers', async () => {
    const quoted =
      ' Corda makes 27 retries. Set CORDA_PORT to override: the port can be overridden with CORDA_PORT.';
    const columns = doneState.columns.map((item) => ({ ...item, tokens: tokensOf(quoted) }));
    await panel.open({ ...doneState, columns });
    const marks = (place: number) =>
      panel.page.locator('.column').nth(place).locator('a.source').allTextContents();
    assert.deepEqual(await marks(0), [], 'no retrieval has no evidence');
    // The unticked third passage tells of the retries; the fourth of the list is the third of the prompt.
    assert.deepEqual(await marks(1), ['the port can be overridden with CORDA_PORT3']);
  });

  it('marks differences from the chosen column and says them in words', async () => {
    await panel.open(doneState);
    const marked = () => panel.page.locator('.column').nth(3).locator('ins').allTextContents();
    assert.deepEqual(await marked(), []);
    await panel.page.getByRole('combobox', { name: 'Column with which the others are compared' }).click();
    await panel.page.getByRole('option', { name: 'No retrieval' }).click();
    await settle(panel.page);
    assert.deepEqual(await marked(), ['9787']);
    assert.ok(
      (await panel.page.locator('.column').nth(3).textContent())?.includes(
        '+1 −15 words against No retrieval',
      ),
    );
  });

  it('shows the alternatives of a doubtful token on focus and hover; Escape closes them', async () => {
    await panel.open(doneState);
    await panel.page.getByRole('checkbox', { name: 'Confidence' }).click();
    await settle(panel.page);
    const popover = panel.page.getByRole('tooltip');
    await panel.page.locator('.answer-text [tabindex="0"]').first().focus();
    await popover.waitFor();
    const first = await popover.textContent();
    await panel.page.keyboard.press('ArrowRight');
    assert.notEqual(await popover.textContent(), first);
    const described = await panel.page.evaluate(() =>
      document.activeElement?.getAttribute('aria-describedby'),
    );
    assert.equal(described, 'token-popover');
    await panel.page.keyboard.press('Escape');
    assert.equal(await popover.isVisible(), false);
    await panel.page.locator('.answer-text .doubtful').last().hover();
    await popover.waitFor();
    assert.deepEqual(await sentRequests(panel.page, 'cancel'), []);
  });

  it('sets k by slider and number field, within the rows of the file', async () => {
    await panel.open(readyState);
    const slider = panel.page.getByRole('slider', { name: 'k, virtual tokens' });
    await slider.focus();
    await panel.page.keyboard.press('ArrowRight');
    await settle(panel.page);
    assert.equal(await slider.getAttribute('aria-valuetext'), '11 of 50 virtual tokens');
    await panel.page.getByRole('spinbutton', { name: 'k, virtual tokens, as a number' }).fill('400');
    await panel.page.keyboard.press('Tab');
    await settle(panel.page);
    assert.equal(await slider.inputValue(), '50');
    await panel.page.getByRole('heading', { name: 'SPRING k=50' }).waitFor();
  });

  it('offers the embedding files that fit and says why the others do not', async () => {
    await panel.open(readyState);
    const list = panel.page.getByRole('combobox', { name: 'Embedding file' });
    await list.click();
    await list.getByRole('option').first().waitFor();
    assert.deepEqual(await list.getByRole('option').allTextContents(), ['spring-50.pt  50×160, built in']);
    await panel.page.keyboard.press('Escape');
    await panel.page.getByText('1 other file does not fit').click();
    await panel.page.getByText('its rows are 4096 wide', { exact: false }).waitFor();
    await panel.page.getByRole('button', { name: 'Choose another embedding file' }).click();
    assert.equal((await sentRequests(panel.page, 'pickTokenFile')).length, 1);
    const other = { ...demoTokens, path: '/other.pt', name: 'other.pt', rows: 4 };
    const patch = {
      tokenFiles: [demoTokens, other],
      tokenFileFit: {},
      inputs: { ...readyState.inputs, tokenFile: other.path, k: 4 },
    };
    await sendToPanel(panel.page, { type: 'patch', patch });
    assert.equal(await list.evaluate((element) => (element as HTMLSelectElement).value), '/other.pt');
    assert.equal(await panel.page.getByRole('slider').getAttribute('max'), '4');
    await sendToPanel(panel.page, { type: 'state', state: troubledState });
    await panel.page.getByText('Error: its rows are 4096 wide', { exact: false }).waitFor();
  });

  it('adds, moves and removes columns', async () => {
    await panel.open(doneState);
    await panel.page.getByRole('button', { name: 'Add a column' }).click();
    await panel.page.getByRole('spinbutton', { name: 'k of the column' }).fill('3');
    await panel.page.getByRole('button', { name: 'SPRING at a fixed k' }).click();
    await settle(panel.page);
    assert.deepEqual(await panel.page.locator('.column-title').allTextContents(), [
      'No retrieval',
      'Baseline',
      'Instruction prompt',
      'SPRING k=10',
      'SPRING k=3',
    ]);
    const last = panel.page.locator('.column').last();
    assert.ok((await last.textContent())?.includes('Not run yet'));
    await last.getByRole('button', { name: 'Move the column to the left' }).click();
    await panel.page.locator('.column').first().getByRole('button', { name: 'Remove the column' }).click();
    await settle(panel.page);
    assert.deepEqual(await panel.page.locator('.column-title').allTextContents(), [
      'Baseline',
      'Instruction prompt',
      'SPRING k=3',
      'SPRING k=10',
    ]);
    await panel.page.waitForFunction(() => window.sent.some(({ name }) => name === 'edit'));
    assert.deepEqual((await sentRequests(panel.page, 'edit')).at(-1), {
      columns: [{ kind: 'baseline' }, { kind: 'prompt' }, { kind: 'spring', k: 3 }, { kind: 'spring' }],
    });
  });
});
