/**
 * The pictures of the walkthrough, from the panel in a real VS Code: `node test/e2e/walkthroughPictures.ts [THEME ...]`
 * writes media/walkthrough/*.png. Uses the installation that `npm run test:e2e` left.
 */
import { join } from 'node:path';
import { PanelPage } from './panelPage.ts';
import { root } from './server.ts';
import { sampleWorkspace, Workbench } from './workbench.ts';

const themes = {
  light: 'Default Light Modern',
  dark: 'Default Dark Modern',
  contrast: 'Default High Contrast',
};
/** What each step is about. */
const regions = { ask: 'Answers', passages: 'Passages', tokens: 'Model and embedding file' };

const wanted = process.argv.slice(2);
for (const [name, theme] of Object.entries(themes)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const workbench = await Workbench.open({
    folder: sampleWorkspace(),
    viewport: { width: 900, height: 1400 },
    settings: { 'workbench.colorTheme': theme },
  });
  try {
    await workbench.page.keyboard.press('Control+b');
    await workbench.command('SPRING: Ask a Question');
    await workbench.answerQuickInput('Who maintains Dornor?');
    const panel = new PanelPage(workbench.panel);
    await panel.done();
    await workbench.page.mouse.move(0, 0);
    await workbench.page.waitForTimeout(1000);
    for (const [step, region] of Object.entries(regions)) {
      const path = join(root, `media/walkthrough/${step}-${name}.png`);
      await panel.frame.getByRole('region', { name: region, exact: true }).screenshot({ path });
    }
  } finally {
    await workbench.close();
  }
}
