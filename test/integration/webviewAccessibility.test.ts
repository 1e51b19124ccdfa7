/** The panels for people who see or point little: axe's rules, names that follow the rows, few stops of the Tab key. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import { describe, it } from 'mocha';
import type { Page } from 'playwright-core';
import type { PanelState } from '../../src/protocol/panel.ts';
import { usePanelInChromium } from '../support/panelInChromium.ts';
import { sendToPanel, settle } from '../webview-preview/panelPage.ts';
import { doneState, emptyState, passage, readyState, troubledState } from '../webview-preview/states.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds, a line each. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const { violations: found } = await page.evaluate(() =>
    (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
  );
  return found.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${JSON.stringify(target)} ${failureSummary ?? ''}`),
  );
}

describe('accessibility of the comparison panel', () => {
  const panel = usePanelInChromium();
  const states: Record<string, PanelState> = { emptyState, readyState, doneState, troubledState };

  for (const [name, state] of Object.entries(states)) {
    it(`axe finds nothing: ${name}`, async () => {
      assert.deepEqual(await violations(await panel.open(state)), []);
    });
  }

  it('names follow the rows when other passages take their places', async () => {
    await panel.open(doneState);
    const others = [
      passage('p1', { path: 'other.md', text: 'Other.' }),
      passage('p2', { path: 'more.md', text: 'More.' }),
    ];
    await sendToPanel(panel.page, { type: 'patch', patch: { passages: others } });
    const boxes = panel.page.locator('.passages').getByRole('checkbox');
    assert.equal(await boxes.count(), 2);
    await panel.page.getByRole('checkbox', { name: '1 other.md:5–9', exact: true }).waitFor();
    await panel.page.getByRole('checkbox', { name: '2 more.md:5–9', exact: true }).waitFor();
    await sendToPanel(panel.page, { type: 'patch', patch: { passages: others.toReversed() } });
    await panel.page.getByRole('checkbox', { name: '1 more.md:5–9', exact: true }).waitFor();
  });

  it('needs one stop of the Tab key for any number of passages; arrow keys lead inside', async () => {
    const many = Array.from({ length: 12 }, (_, place) =>
      passage(`p${place + 1}`, { path: `file${place + 1}.md`, text: `Text ${place + 1}.` }),
    );
    await panel.open({ ...doneState, passages: many });
    const { page } = panel;
    const name = () => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? '');
    await page.getByRole('button', { name: 'Untick all passages' }).focus();
    await page.keyboard.press('Tab');
    assert.equal(await name(), '1 file1.md:5–9');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    assert.equal(await name(), '3 file3.md:5–9');
    await page.keyboard.press('ArrowRight');
    assert.equal(await name(), 'Move up');
    await page.keyboard.press('ArrowUp');
    assert.equal(await name(), 'Move up');
    await page.keyboard.press('End');
    assert.equal(await name(), 'Move up');
    await page.keyboard.press('ArrowLeft');
    assert.equal(await name(), '12 file12.md:5–9');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement?.closest('.passages') === null), true);
    await page.keyboard.press('Shift+Tab');
    assert.equal(await name(), '12 file12.md:5–9');
    await page.keyboard.press('Home');
    await page.keyboard.press('Space');
    await settle(page);
    assert.equal(await page.getByRole('checkbox', { name: '1 file1.md:5–9' }).isChecked(), false);
  });

  it('leads to the answers by a link and from part to part by keys', async () => {
    await panel.open(doneState);
    const { page } = panel;
    await page.keyboard.press('Tab');
    const link = page.getByRole('link', { name: 'Skip to the answers' });
    assert.equal(await link.evaluate((element) => element === document.activeElement), true);
    assert.ok((await link.boundingBox())!.width > 50, 'it is seen when it has the focus');
    const region = () =>
      page.evaluate(() => {
        const section = document.activeElement!.closest('section');
        return section?.getAttribute('aria-label') ?? section?.getAttribute('aria-labelledby') ?? '';
      });
    await page.keyboard.press('Enter');
    assert.equal(await region(), 'answers-heading');
    await page.keyboard.press('Alt+PageUp');
    assert.equal(await region(), 'passages-heading');
    await page.keyboard.press('Alt+PageDown');
    await page.keyboard.press('Alt+PageDown');
    assert.equal(await region(), 'Question');
    let stops = 0;
    await panel.question().focus();
    for (; stops < 60 && (await region()) !== 'answers-heading'; stops++) await page.keyboard.press('Tab');
    assert.ok(stops <= 25, `${stops} stops from the question to the answers`);
  });
});
