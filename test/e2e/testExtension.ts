/** A further extension for a test, beside the installed one. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { root } from './server.ts';

/**
 * Bundles a module of test/e2e/suite into an extension of its own.
 * @param contributes the manifest's contributions; with them the module's `activate` is called at the start
 * @returns the extension's folder and the bundled module
 */
export async function makeTestExtension(
  module: string,
  contributes?: Record<string, unknown>,
): Promise<{ folder: string; module: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'spring-rag-extension-'));
  const manifest = {
    ...{ name: 'stub', publisher: 'test', version: '1.0.0', engines: { vscode: '^1.104.0' } },
    ...(contributes && { main: `./${module}.js`, activationEvents: ['*'], contributes }),
  };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  const outfile = join(folder, `${module}.js`);
  await build({
    entryPoints: [join(root, `test/e2e/suite/${module}.ts`)],
    outfile,
    ...{ bundle: true, platform: 'node', format: 'cjs', external: ['vscode'] },
  });
  return { folder, module: outfile };
}
