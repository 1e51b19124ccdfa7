import assert from 'node:assert/strict';
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { indexRole } from '../../../src/engine/indexRole.ts';

describe('the index process', () => {
  it('ends what runs on an index before it closes it for another', async () => {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'index-role-')));
    await writeFile(join(folder, 'harbor.md'), '# Harbor\n\nHarbor listens on port 8080.\n');
    const role = indexRole(folder);
    const context = { signal: new AbortController().signal, report: () => undefined };
    const location = { indexFile: join(folder, 'index.sqlite'), folders: [folder], options: {} };
    await role.openIndex(location, context);
    await role.updateIndex({ rebuild: false, openTexts: [] }, context);

    const searching = role.search({ query: 'port of Harbor', count: 3 }, context);
    const updating = role.updateIndex({ rebuild: true, openTexts: [] }, context);
    await role.openIndex(location, context);
    assert.match((await searching)[0]!.text, /8080/);
    assert.equal((await updating).files, 1);
    assert.match((await role.search({ query: 'port of Harbor', count: 3 }, context))[0]!.text, /8080/);
    await rm(folder, { recursive: true });
  });
});
