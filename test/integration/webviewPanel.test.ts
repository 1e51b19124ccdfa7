/** The comparison panel's bundle in a real browser, with a stand-in for the extension host. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { PanelState } from '../../src/protocol/panel.ts';
import { usePanelInChromium } from '../support/panelInChromium.ts';
import { sendToPanel, sentRequests, settle } from '../webview-preview/panelPage.ts';
import {
  arabicText,
  column,
  doneState,
  emptyState,
  hostileState,
  hostileText,
  readyState,
  streamingState,
  tokensOf,
  troubledState,
} from '../webview-preview/states.ts';

describe('comparison panel in Chromium', () => {
  const panel = usePanelInChromium();

  it('asks by keyboard: typing, Ctrl+Enter, and Escape to cancel', async () => {
    await panel.open(readyState);
    await panel.question().focus();
    await panel.page.keyboard.type('Which port?');
    await panel.page.keyboard.press('Control+Enter');
    await settle(panel.page);
    assert.deepEqual(await sentRequests(panel.page, 'edit'), [{ question: 'Which port?' }]);
    assert.deepEqual(await sentRequests(panel.page, 'ask'), [{ question: 'Which port?' }]);
    await sendToPanel(panel.page, { type: 'patch', patch: { run: { kind: 'streaming' } } });
    assert.equal(await panel.page.getByRole('button', { name: 'Ask' }).count(), 0);
    await panel.page.keyboard.press('Control+Enter');
    assert.equal((await sentRequests(panel.page, 'ask')).length, 1, 'no second run while one is under way');
    await panel.page.keyboard.press('Escape');
    assert.equal((await sentRequests(panel.page, 'cancel')).length, 1);
  });

  it('does not ask an empty question', async () => {
    await panel.open(readyState);
    await panel.question().focus();
    await panel.page.keyboard.type('  ');
    await panel.page.keyboard.press('Control+Enter');
    assert.deepEqual(await sentRequests(panel.page, 'ask'), []);
  });

  it('streams tokens without moving the focus, rebuilding the answers or losing a selection', async () => {
    await panel.open(streamingState);
    await panel.question().focus();
    await panel.page.evaluate(() => {
      const text = document.querySelector('.answer-text')!.firstChild!;
      const range = document.createRange();
      range.setStart(text, 0);
      range.setEnd(text, 5);
      Object.assign(window, { keptNode: text, keptRange: range });
    });
    const before = await panel.page.locator('.answer-text').first().textContent();
    for (let batch = 0; batch < 5; batch++) {
      const tokens = [0, 1, 3].map((place) => ({ column: place, tokens: tokensOf(` batch ${batch}`) }));
      await sendToPanel(panel.page, { type: 'tokens', tokens });
    }
    const texts = await panel.page.locator('.answer-text').allTextContents();
    assert.equal(texts[0], `${before} batch 0 batch 1 batch 2 batch 3 batch 4`);
    assert.ok(texts[3]?.startsWith('batch 0'), 'white space before the first word is left out');
    const kept = await panel.page.evaluate(() => {
      const { keptNode, keptRange } = window as unknown as { keptNode: Node; keptRange: Range };
      return [document.querySelector('.answer-text')!.firstChild === keptNode, keptRange.toString().length];
    });
    assert.deepEqual(kept, [true, 5]);
    assert.equal(await panel.focused(), 'Question');
  });

  it('hands the focus from Ask to Cancel and back', async () => {
    await panel.open(doneState);
    await panel.page.getByRole('button', { name: 'Ask' }).focus();
    await panel.page.keyboard.press('Enter');
    await sendToPanel(panel.page, { type: 'patch', patch: { run: { kind: 'retrieving' } } });
    assert.equal(await panel.focused(), 'Cancel');
    await sendToPanel(panel.page, { type: 'patch', patch: { run: doneState.run } });
    assert.equal(await panel.focused(), 'Ask');
  });

  it('shows hostile text as text', async () => {
    await panel.open(hostileState);
    await panel.page.getByRole('checkbox', { name: 'Confidence' }).click();
    await settle(panel.page);
    await panel.page.getByRole('checkbox', { name: 'Confidence' }).click();
    await settle(panel.page);
    const found = await panel.page.evaluate(() => ({
      images: document.querySelectorAll('main img, main script, main b').length,
      links: [...document.querySelectorAll('main a')].filter((link) => !link.matches('.source, .skip-link'))
        .length,
      hacked: window.hacked,
    }));
    assert.deepEqual(found, { images: 0, links: 0, hacked: undefined });
    assert.equal(await panel.question().inputValue(), hostileText);
    // The number of the passage stands behind a stretch that was found in it.
    const answer = await panel.page.locator('.answer-text').first().textContent();
    assert.equal(answer?.replace(/1(?=;?$)/, ''), hostileText);
    assert.ok((await panel.page.locator('.passage-text').first().textContent())?.includes('<script>'));
    assert.ok((await panel.page.locator('.face-error').first().textContent())?.includes(hostileText));
  });

  it('lets right-to-left text run from right to left', async () => {
    await panel.open({ ...hostileState, inputs: { ...hostileState.inputs, question: arabicText } });
    const directions = await panel.page.evaluate(() =>
      [...document.querySelectorAll('.passage-text')].map((text) => getComputedStyle(text).direction),
    );
    assert.deepEqual(directions, ['ltr', 'rtl', 'ltr']);
    assert.equal(await panel.question().evaluate((field) => getComputedStyle(field).direction), 'rtl');
    assert.equal(
      await panel.page
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
      await panel.open(hostileState, width);
      const overflow = await panel.page.evaluate(
        () => document.documentElement.scrollWidth - window.innerWidth,
      );
      assert.ok(overflow <= 0, `the page is ${overflow} px too wide`);
      const [first, second] = await panel.page.locator('.column').all();
      const a = (await first!.boundingBox())!;
      const b = (await second!.boundingBox())!;
      assert.equal(b.y > a.y, stacked);
      assert.equal(b.x > a.x, !stacked);
    });
  }

  it('keeps all inputs, answers and its own view over a reload', async () => {
    await panel.open(doneState);
    await panel.question().fill('Another question');
    await panel.page.getByRole('checkbox', { name: 'Found in passages' }).click();
    await settle(panel.page);
    await panel.page.evaluate(() => window.dispatchEvent(new Event('pagehide')));
    const stored = await panel.page.evaluate(
      () => JSON.parse(sessionStorage.getItem('state')!) as PanelState,
    );
    assert.equal(stored.inputs.question, 'Another question');
    assert.deepEqual(stored.columns, JSON.parse(JSON.stringify(doneState.columns)));
    // The host sends back what VS Code gave it: here what was stored.
    await panel.page.addInitScript(() => {
      window.firstState = JSON.parse(sessionStorage.getItem('state')!);
    });
    await panel.page.reload();
    await panel.page.waitForFunction(() => document.querySelector('main:not(.waiting) *') !== null);
    await settle(panel.page);
    assert.equal(await panel.question().inputValue(), 'Another question');
    assert.equal(await panel.page.locator('.column').count(), 4);
    assert.equal(await panel.page.getByRole('checkbox', { name: 'Found in passages' }).isChecked(), false);
    assert.equal(await panel.page.locator('a.source').count(), 0);
  });

  it('gives every state a face with a way out', async () => {
    await panel.open(emptyState);
    await panel.page.getByRole('button', { name: 'Index Workspace' }).click();
    await panel.page.getByRole('button', { name: 'Use the Demo Model' }).click();
    assert.deepEqual(await sentRequests(panel.page, 'runAction'), [
      { action: 'index-workspace' },
      { action: 'use-demo-model' },
    ]);
    await sendToPanel(panel.page, { type: 'state', state: troubledState });
    assert.equal(
      await panel.page
        .getByRole('progressbar', { name: 'Indexing' })
        .evaluate((bar) => (bar as HTMLProgressElement).value),
      12,
    );
    await panel.page.getByRole('button', { name: 'Try Again' }).click();
    assert.deepEqual((await sentRequests(panel.page, 'runAction')).at(-1), { action: 'retry' });
    const cancelled = column('baseline', 'Baseline', '', { status: 'cancelled', answer: null });
    const patch = { run: { kind: 'cancelled', stale: false }, columns: [cancelled] };
    await sendToPanel(panel.page, { type: 'patch', patch });
    await panel.page.getByText('Cancelled before the first token').waitFor();
    await panel.page.locator('.run-faces').getByRole('button', { name: 'Run Again', exact: true }).click();
    assert.equal((await sentRequests(panel.page, 'rerun')).length, 1);
  });

  it('says why a request failed', async () => {
    await panel.open(doneState);
    await panel.page.evaluate(() => {
      window.replies.saveRecord = { error: { kind: 'user', message: 'The disk is full.' } };
    });
    await panel.page.getByRole('button', { name: 'Save…' }).click();
    await settle(panel.page);
    const alert = panel.page.getByRole('alert').filter({ hasText: 'The disk is full.' });
    await alert.waitFor();
    await alert.getByRole('button', { name: 'Dismiss' }).click();
    await settle(panel.page);
    assert.equal(await alert.count(), 0);
  });

  it('tells screen readers what happens, not every token', async () => {
    await panel.open(streamingState);
    const live = panel.page.locator('.visually-hidden[role=status]');
    await sendToPanel(panel.page, { type: 'tokens', tokens: [{ column: 0, tokens: tokensOf(' x') }] });
    assert.equal(await live.textContent(), '');
    await sendToPanel(panel.page, { type: 'state', state: doneState });
    assert.ok((await live.textContent())?.includes('SPRING k=10: 9787.'));
  });

  it('can be left and entered by the Tab key alone: every control has a name', async () => {
    await panel.open(doneState);
    const nameless = await panel.page.evaluate(() =>
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
    await panel.page.getByRole('checkbox', { name: '1 corda.md:5–9', exact: true }).waitFor();
    await panel.page.getByRole('link', { name: '9787', exact: true }).waitFor();
    await panel.question().focus();
    const visited = new Set<string>();
    for (let press = 0; press < 80; press++) {
      await panel.page.keyboard.press('Tab');
      visited.add(await panel.page.evaluate(() => document.activeElement?.outerHTML.slice(0, 200) ?? ''));
    }
    assert.ok(visited.size > 30, `only ${visited.size} stops`);
  });
});
