import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { describe, it } from 'mocha';

const root = resolve(import.meta.dirname, '../..');

describe('npm start', function () {
  if (process.platform === 'win32') this.pending = true; // the stand-in below is a shell script

  it('opens the code of the PATH on the sample workspace, or on a folder, with this extension', () => {
    const folder = mkdtempSync(join(tmpdir(), 'spring code '));
    try {
      const record = join(folder, 'arguments');
      const script = `#!/bin/sh\nfor value in "$@"; do echo "$value" >> '${record}'; done\nexit 3\n`;
      writeFileSync(join(folder, 'code'), script, { mode: 0o755 });
      const started = (...values: string[]): string[] => {
        writeFileSync(record, '');
        assert.throws(
          () =>
            execFileSync(process.execPath, [join(root, 'scripts/start.mjs'), ...values], {
              env: { ...process.env, PATH: `${folder}${delimiter}${process.env['PATH'] ?? ''}` },
            }),
          { status: 3 }, // the stand-in's own
        );
        return readFileSync(record, 'utf8').trimEnd().split('\n');
      };
      const common = ['--new-window', `--extensionDevelopmentPath=${root}`];
      assert.deepEqual(started(), [...common, join(root, 'samples/workspace')]);
      assert.deepEqual(started(folder), [...common, folder]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
