/** Columns of the comparison panel in a real browser: those that cannot run, and those that keep their embedding file. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { usePanelInChromium } from '../support/panelInChromium.ts';
import { sentRequests } from '../webview-preview/panelPage.ts';
import { doneState } from '../webview-preview/states.ts';

describe('columns of the comparison panel in Chromium', () => {
  const panel = usePanelInChromium();

  it('one that cannot run says what it needs and offers it, beside the answers of the others', async () => {
    const [first, ...others] = doneState.columns;
    const problem = {
      message: 'The ticked passage is not encoded for demo yet.',
      actions: [{ label: 'Encode Passages', action: 'encode-passages' as const }],
    };
    const waiting = { ...first!, tokens: [], answer: null, status: 'failed' as const, problem };
    await panel.open({ ...doneState, columns: [waiting, ...others] });
    const [column, next] = [panel.page.locator('.column').first(), panel.page.locator('.column').nth(1)];
    await column.getByText(problem.message).waitFor();
    assert.notEqual(await next.locator('.answer-text').textContent(), '');
    await column.getByRole('button', { name: 'Encode Passages' }).click();
    assert.deepEqual(await sentRequests(panel.page, 'runAction'), [{ action: 'encode-passages' }]);
  });

  it('one can be added that keeps the embedding file and the k of now', async () => {
    await panel.open(doneState);
    await panel.page.getByRole('button', { name: 'Add a column' }).click();
    await panel.page.getByRole('button', { name: 'SPRING with this file and k' }).click();
    await panel.page.waitForFunction(() => window.sent.some(({ name }) => name === 'edit'));
    const edits = (await sentRequests(panel.page, 'edit')) as { columns: object[] }[];
    const { k, tokenFile } = doneState.inputs;
    const label = tokenFile!.split('/').at(-1)!.replace('.pt', '');
    assert.deepEqual(edits.at(-1)!.columns.at(-1), { kind: 'spring', k, tokenFile: label });
    await panel.page.getByRole('heading', { name: `SPRING k=${String(k)}, ${label}` }).waitFor();
  });
});
