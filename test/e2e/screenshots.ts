/**
 * Pictures of the panel in a real VS Code, for the README: `node test/e2e/screenshots.ts FOLDER`. Uses the installation
 * that `npm run test:e2e` left.
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { PanelPage } from './panelPage.ts';
import { sampleWorkspace, Workbench } from './workbench.ts';

const target = resolve(process.argv[2] ?? '.vscode-test/pictures');
const question = 'Who maintains Dornor?';
const themes = {
  light: 'Default Light Modern',
  dark: 'Default Dark Modern',
  contrast: 'Default High Contrast',
};
const sizes = { wide: { width: 1440, height: 1180 }, narrow: { width: 720, height: 1180 } };

mkdirSync(target, { recursive: true });
for (const [themeName, theme] of Object.entries(themes)) {
  for (const [sizeName, viewport] of Object.entries(sizes)) {
    const workbench = await Workbench.open({
      folder: sampleWorkspace(),
      viewport,
      settings: { 'workbench.colorTheme': theme },
    });
    try {
      if (sizeName === 'narrow') await workbench.page.keyboard.press('Control+b');
      await workbench.command('SPRING: Ask a Question');
      await workbench.answerQuickInput(question);
      await new PanelPage(workbench.panel).done();
      await workbench.page.waitForTimeout(1500);
      await workbench.page.screenshot({ path: join(target, `${themeName}-${sizeName}.png`) });
    } finally {
      await workbench.close();
    }
  }
}
