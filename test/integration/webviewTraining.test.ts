/** The training panel's bundle in a real browser, with a stand-in for the extension host. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { Page } from 'playwright-core';
import { useChromium } from '../support/panelInChromium.ts';
import { openPanel, sendToPanel, sentRequests } from '../webview-preview/panelPage.ts';
import { pausedTraining, stepAt, trainingState, validationAt } from '../webview-preview/trainingStates.ts';

describe('training panel in Chromium', function () {
  const browser = useChromium('training panel');

  const open = (state: unknown, width?: number): Promise<Page> =>
    openPanel(browser(), { entry: 'training', state, width });

  it('draws curves and table, and goes on with what is reported', async () => {
    const page = await open(trainingState);
    assert.equal(await page.locator('canvas').count(), 2);
    const chart = page.getByRole('img').first();
    const before = await chart.getAttribute('aria-label');
    assert.ok(before?.startsWith('Loss. Latest values: Each step: '));
    assert.equal(await page.locator('.validations tbody tr').count(), 6);
    await sendToPanel(page, {
      type: 'events',
      events: [stepAt(276), { ...validationAt(276), loss: 0.1234 }],
    });
    assert.notEqual(await chart.getAttribute('aria-label'), before);
    assert.ok((await page.locator('.validations tbody tr').first().textContent())?.includes('0.1234'));
    await page.getByText('Step 276 of 500').waitFor();
    assert.deepEqual(await page.evaluate(() => window.violations), []);
    await page.close();
  });

  it('pauses, resumes, stops and uses the result, with buttons that fit the state', async () => {
    const page = await open(trainingState);
    const names = () => page.getByRole('button').evaluateAll((all) => all.map((one) => one.ariaLabel));
    assert.deepEqual(await names(), ['Pause', 'Stop', 'Show Log']);
    await page.getByRole('button', { name: 'Pause' }).focus();
    await page.keyboard.press('Enter');
    await sendToPanel(page, { type: 'patch', patch: { status: pausedTraining.status } });
    assert.deepEqual(await names(), ['Resume', 'Stop', 'Show Log']);
    assert.equal(await page.evaluate(() => document.activeElement?.ariaLabel), 'Resume');
    await page.keyboard.press('Enter');
    const done = { type: 'done', step: 500, writtenStep: 450, reason: 'finished', path: 'x' };
    await sendToPanel(page, { type: 'events', events: [done] });
    assert.deepEqual(await names(), ['Use in Comparison', 'Show Log']);
    await page.getByRole('button', { name: 'Use in Comparison' }).click();
    await page.getByText('The tokens of step 450 are in tokens/spring-50.pt.').waitFor();
    for (const name of ['pause', 'resume', 'use'])
      assert.equal((await sentRequests(page, name)).length, 1, name);
    await page.close();
  });

  it('has whole steps on the axis of a run of a few steps', async () => {
    const page = await open({ ...trainingState, steps: [], validations: [], step: 0 });
    await page.evaluate(() => {
      const drawn: string[] = [];
      const { prototype } = CanvasRenderingContext2D;
      const draw = Reflect.get(prototype, 'fillText') as (...values: unknown[]) => void;
      prototype.fillText = function (...values: unknown[]) {
        drawn.push(String(values[0]));
        Reflect.apply(draw, this, values);
      };
      Object.assign(window, { drawn });
    });
    await sendToPanel(page, { type: 'events', events: [stepAt(1), stepAt(2), stepAt(3)] });
    await page.locator('canvas').first().waitFor();
    const labels = (): Promise<string[]> =>
      page.evaluate(() => (window as unknown as { drawn: string[] }).drawn);
    while (!(await labels()).includes('3')) await page.waitForTimeout(50);
    // Losses have their decimals: what is left are steps.
    const steps = (await labels()).filter((label) => /^[123](\.\d)?$/.test(label));
    assert.deepEqual([...new Set(steps)].sort(), ['1', '2', '3']);
    await page.close();
  });

  it('says why a request failed, and fits 320 pixels', async () => {
    const page = await open(pausedTraining, 320);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(overflow <= 0, `the page is ${overflow} px too wide`);
    await page.evaluate(() => {
      window.replies.resume = { error: { kind: 'user', message: 'The data file has changed.' } };
    });
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.getByText('The data file has changed.').waitFor();
    await page.close();
  });
});
