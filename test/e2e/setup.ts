/** Once before all end-to-end tests: a VS Code to run them in, and the VSIX installed into it. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

import { chromiumPath, extensionsFolder, installExtension, root } from './server.ts';
import { openWorkbenches } from './workbench.ts';

export async function mochaGlobalSetup(): Promise<void> {
  if (!existsSync(chromiumPath)) {
    const message = `SKIPPED: no Chromium at ${chromiumPath} (apt-get install chromium).`;
    if (process.env['CI']) throw new Error(message);
    console.error(message);
    process.exit(0);
  }
  execFileSync(process.execPath, ['test/e2e/install.mjs'], { cwd: root, stdio: 'inherit' });
  if (process.env['E2E_KEEP_INSTALLED'] && existsSync(extensionsFolder)) return;
  execFileSync(process.execPath, ['scripts/package.mjs'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  await installExtension();
}

/** A picture of every open window when a test fails. */
export const mochaHooks = {
  async afterEach(this: Mocha.Context) {
    const { currentTest } = this;
    if (currentTest?.state !== 'failed') return;
    let number = 0;
    for (const workbench of openWorkbenches) {
      const name = `failed-${currentTest.title.replace(/\W+/g, '-')}-${String(++number)}`;
      await workbench.screenshot(name).catch(() => undefined);
    }
  },
};
