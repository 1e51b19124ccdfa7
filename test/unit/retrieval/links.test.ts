import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lastOf, placesOf, TestWorkspace } from './workspace.ts';

describe('an index and symbolic links', () => {
  it('survives loops of symbolic links and follows links that lead out', async () => {
    using workspace = new TestWorkspace({ 'sub/a.md': 'inside' });
    mkdirSync(join(workspace.top, 'outside'));
    writeFileSync(join(workspace.top, 'outside/b.md'), 'elsewhere');
    symlinkSync('..', workspace.path('sub/up'));
    symlinkSync(workspace.top, workspace.path('top'));
    symlinkSync(join(workspace.top, 'outside'), workspace.path('linked'));
    symlinkSync('nowhere', workspace.path('broken.md'));
    using index = workspace.open();
    const { files, problems } = await workspace.update(index);
    assert.deepEqual([files, problems], [2, []]);
    assert.deepEqual(await placesOf(index, 'inside'), ['sub/a.md:1']);
  });

  it('a changed file that is reached through a link has one entry, as after a full look', async () => {
    using workspace = new TestWorkspace({ 'sub/a.md': 'inside' });
    symlinkSync('sub', workspace.path('link'));
    symlinkSync('sub/a.md', workspace.path('b.md'));
    using index = workspace.open();
    await workspace.update(index);
    workspace.write('sub/a.md', 'changed inside');
    const changed = ['sub/a.md', 'link/a.md', 'b.md', 'link'].map((path) => workspace.path(path));
    await lastOf(index.updateFiles(workspace.folder, changed));
    assert.deepEqual(await placesOf(index, 'inside'), ['sub/a.md:1']);
    assert.equal(index.status().files, 1);
  });

  it('does not look outside the folder unless links may be followed', async () => {
    using workspace = new TestWorkspace({ 'a.md': 'inside' });
    mkdirSync(join(workspace.top, 'outside'));
    writeFileSync(join(workspace.top, 'outside/b.md'), 'secret elsewhere');
    symlinkSync(join(workspace.top, 'outside'), workspace.path('linked'));
    symlinkSync(join(workspace.top, 'outside/b.md'), workspace.path('c.md'));
    using index = workspace.open({ followLinks: false });
    await workspace.update(index);
    const changed = ['linked/b.md', 'linked', 'c.md'].map((path) => workspace.path(path));
    await lastOf(index.updateFiles(workspace.folder, changed));
    assert.deepEqual(await placesOf(index, 'secret'), []);
    using trusting = workspace.open({ followLinks: true });
    await workspace.update(trusting);
    assert.notDeepEqual(await placesOf(trusting, 'secret'), []);
    using again = workspace.open({ followLinks: false });
    await workspace.update(again);
    assert.deepEqual(await placesOf(again, 'secret'), []);
  });

  it('a workspace folder that is a link, also beside its real one, is one folder', async () => {
    using workspace = new TestWorkspace({ 'a.md': 'saved words' });
    const link = join(workspace.top, 'link');
    symlinkSync(workspace.folder, link);
    using index = workspace.open();
    await lastOf(index.update([link, workspace.folder]));
    assert.equal(index.status().files, 1);
    await index.setOpenText(link, join(link, 'a.md'), 'typed words');
    await lastOf(index.updateFiles(link, [join(link, 'a.md')]));
    assert.deepEqual(await placesOf(index, 'typed'), ['a.md:1']);
    workspace.write('a.md', 'words written');
    await index.setOpenText(link, join(link, 'a.md'), undefined);
    await lastOf(index.updateFiles(link, [join(link, 'a.md')]));
    assert.deepEqual(await placesOf(index, 'written'), ['a.md:1']);
    assert.equal(index.status().files, 1);
  });
});

describe('an index and editors', () => {
  it('takes the text of an editor for that of the file while it is not saved', async () => {
    using workspace = new TestWorkspace({ 'a.md': 'saved words' });
    using index = workspace.open();
    await workspace.update(index);
    await index.setOpenText(workspace.folder, workspace.path('a.md'), 'typed words');
    await lastOf(index.updateFiles(workspace.folder, [workspace.path('a.md')]));
    assert.deepEqual(await placesOf(index, 'typed'), ['a.md:1']);
    await index.setOpenText(workspace.folder, workspace.path('a.md'), undefined);
    await workspace.update(index);
    assert.deepEqual([await placesOf(index, 'typed'), await placesOf(index, 'saved')], [[], ['a.md:1']]);
  });
});
