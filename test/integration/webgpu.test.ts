/**
 * The tests of test/integration/webgpu, in a process whose environment names a WebGPU driver: the runtime looks for it
 * once, when it is loaded. SPRING_RAG_GPU=1 uses the machine's own GPU.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { webGpuEnvironment } from './webgpu/adapter.ts';

describe('WebGPU', () => {
  it('the whole oracle on an adapter', function () {
    this.timeout(1_800_000);
    const env = webGpuEnvironment();
    if (!env) {
      if (process.env['CI'])
        throw new Error('CI requires a WebGPU adapter: install chromium for its software driver.');
      console.warn('SKIPPED: no WebGPU adapter. Install chromium, whose software driver the tests can use.');
      this.skip();
    }
    const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js');
    const suite = join(import.meta.dirname, 'webgpu', 'suite.ts');
    const { status, signal } = spawnSync(process.execPath, [mocha, suite], {
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    assert.equal(signal ?? status, 0, 'tests on WebGPU failed, see above');
  });
});
