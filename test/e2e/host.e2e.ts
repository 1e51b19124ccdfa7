import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { describe, it } from 'mocha';
import { root } from './server.ts';
import { sampleWorkspace, Workbench } from './workbench.ts';

describe('in the extension host', () => {
  it('the tool searches, settings are written where they live, the event loop stays free', async () => {
    // An extension that holds nothing but the tests; the one under test is the installed one.
    const stub = mkdtempSync(join(tmpdir(), 'spring-rag-stub-'));
    const manifest = { name: 'stub', publisher: 'test', version: '1.0.0', engines: { vscode: '*' } };
    writeFileSync(join(stub, 'package.json'), JSON.stringify(manifest));
    await build({
      entryPoints: [join(root, 'test/e2e/suite/host.ts')],
      outfile: join(stub, 'host.js'),
      ...{ bundle: true, platform: 'node', format: 'cjs', external: ['vscode'] },
    });
    const measurements = join(root, '.vscode-test/measurements.json');
    mkdirSync(join(root, '.vscode-test'), { recursive: true });
    const workbench = await Workbench.open({
      folder: sampleWorkspace(),
      hostTests: { extension: stub, module: join(stub, 'host.js') },
      environment: { SPRING_MEASUREMENTS: measurements },
    });
    try {
      await workbench.hostTestsEnded();
    } finally {
      await workbench.close();
    }
    const measured = JSON.parse(readFileSync(measurements, 'utf8')) as Record<string, unknown>;
    for (const [name, values] of Object.entries(measured)) console.log(`      ${name}:`, values);
  });
});
