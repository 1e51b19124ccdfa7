import { mkdtempSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'mocha';
import { makeTestExtension } from './testExtension.ts';
import { sampleWorkspace, Workbench } from './workbench.ts';

describe('open editors', () => {
  // People keep documents elsewhere and open them by a link: then paths of editors are not those of the index.
  for (const [title, folder] of [
    ['in a folder', sampleWorkspace],
    ['in a folder that is a symbolic link', linkedWorkspace],
  ] as const) {
    it(`unsaved text is indexed, and the file's again when it is discarded: ${title}`, async () => {
      const extension = await makeTestExtension('editors');
      const workbench = await Workbench.open({
        folder: folder(),
        settings: { 'files.autoSave': 'off' }, // in the browser VS Code saves by itself
        testExtension: { folder: extension.folder, tests: extension.module },
      });
      try {
        await workbench.hostTestsEnded();
      } finally {
        await workbench.close();
      }
    });
  }
});

function linkedWorkspace(): string {
  const link = join(mkdtempSync(join(tmpdir(), 'spring-rag-link-')), 'workspace');
  symlinkSync(sampleWorkspace(), link);
  return link;
}
