import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'mocha';
import { root } from './server.ts';
import type { EventLoopReport } from './suite/eventLoop.ts';
import { makeTestExtension } from './testExtension.ts';
import { sampleWorkspace, Workbench } from './workbench.ts';

describe('in the extension host', () => {
  it('the tool searches, settings are written where they live; the event loop is watched', async () => {
    const { folder, module } = await makeTestExtension('host');
    const measurements = join(root, '.vscode-test/measurements.json');
    mkdirSync(join(root, '.vscode-test'), { recursive: true });
    const workbench = await Workbench.open({
      folder: sampleWorkspace(),
      testExtension: { folder, tests: module },
      environment: { SPRING_MEASUREMENTS: measurements },
    });
    try {
      await workbench.hostTestsEnded();
    } finally {
      await workbench.close();
    }
    const measured = JSON.parse(readFileSync(measurements, 'utf8')) as Record<string, EventLoopReport>;
    // Printed, not judged: machines differ.
    for (const [what, report] of Object.entries(measured)) {
      const { wallMs, longestMs, longestCpuMs, mostWorkMs, p99Ms, over50 } = report;
      console.log(
        `      ${what.padEnd(10)} ${wallMs.toFixed(0).padStart(5)} ms; event loop late by ${String(longestMs)} ms ` +
          `at most (${String(longestCpuMs)} ms of it work), p99 ${String(p99Ms)} ms, ` +
          `over 50 ms: ${String(over50)}; most work between turns ${String(mostWorkMs)} ms`,
      );
    }
  });
});
