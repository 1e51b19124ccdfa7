import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { getuid } from 'node:process';
import { CancelledError, UserError } from '../../../src/protocol/errors.ts';
import type { IndexProgress } from '../../../src/retrieval/types.ts';
import { lastOf, placesOf, TestWorkspace } from './workspace.ts';

function phaseOf(step: IteratorResult<IndexProgress, unknown>): string | undefined {
  return step.done ? undefined : step.value.phase;
}

describe('updating an index', () => {
  it('finds what is new, changed, moved and gone', async () => {
    using workspace = new TestWorkspace({ 'a.md': '# Apples\n\nRed fruit.', 'b.txt': 'Blue berries.' });
    using index = workspace.open();
    const first = await workspace.update(index);
    assert.deepEqual([first.phase, first.added, first.chunks], ['done', 2, 2]);
    assert.deepEqual(await placesOf(index, 'fruit'), ['a.md:1']);

    const second = await workspace.update(index);
    assert.deepEqual([second.added, second.changed, second.removed, second.unchanged], [0, 0, 0, 2]);

    workspace.write('a.md', '# Pears\n\nGreen fruit.');
    workspace.remove('b.txt');
    mkdirSync(workspace.path('sub'));
    workspace.write('sub/c.md', 'Cherries.');
    const third = await workspace.update(index);
    assert.deepEqual([third.added, third.changed, third.removed], [1, 1, 1]);
    assert.deepEqual(await placesOf(index, 'apples berries'), []);
    assert.deepEqual(await placesOf(index, 'pears'), ['a.md:1']);

    renameSync(workspace.path('sub'), workspace.path('moved'));
    const { added, removed } = await workspace.update(index);
    assert.deepEqual([added, removed], [1, 1]);
    assert.deepEqual(await placesOf(index, 'cherries'), ['moved/c.md:1']);
  });

  it('sees a change that keeps size and time, if the file was fresh', async () => {
    using workspace = new TestWorkspace({ 'a.md': 'one apple' });
    using index = workspace.open();
    await workspace.update(index);
    workspace.write('a.md', 'one grape');
    await workspace.update(index);
    assert.deepEqual(await placesOf(index, 'grape'), ['a.md:1']);
  });

  it('does not read a file whose size and times are known', async () => {
    using workspace = new TestWorkspace({ 'a.md': 'one apple' });
    using index = workspace.open();
    await workspace.update(index);
    // As if the file were old (a fresh one is read again), and its content another: reading it would show.
    const { mtimeMs, ctimeMs } = statSync(workspace.path('a.md'));
    using database = new DatabaseSync(workspace.indexFile);
    database.prepare('UPDATE files SET mtime = ?, ctime = ?').run(mtimeMs, ctimeMs);
    database.exec("UPDATE documents SET hash = 'not that of the file'");
    assert.equal((await workspace.update(index)).unchanged, 1);
    assert.equal(database.prepare('SELECT hash FROM documents').get()?.['hash'], 'not that of the file');
    utimesSync(workspace.path('a.md'), 1e9, 1e9);
    await workspace.update(index);
    assert.notEqual(database.prepare('SELECT hash FROM documents').get()?.['hash'], 'not that of the file');
  });

  it('keeps passages that an edit did not touch, with new lines', async () => {
    const section = (name: string) => `## ${name}\n\nAbout ${name}.\n\n`;
    using workspace = new TestWorkspace({ 'a.md': section('One') + section('Two') });
    using index = workspace.open();
    await workspace.update(index);
    workspace.write('a.md', `New opening.\n\n${section('One')}${section('Two')}`);
    await workspace.update(index);
    using database = new DatabaseSync(workspace.indexFile);
    const rows = database.prepare('SELECT id, start_line FROM chunks ORDER BY start_line').all();
    assert.deepEqual(
      rows.map((row) => Object.values(row)),
      [
        [3, 1],
        [1, 3],
        [2, 7],
      ],
    );
  });

  it('shares what two files have in common until they differ', async () => {
    using workspace = new TestWorkspace({ 'a/x.md': 'Same text.', 'b/x.md': 'Same text.' });
    using index = workspace.open();
    assert.equal((await workspace.update(index)).chunks, 1);
    const { hits } = await index.search('same');
    assert.deepEqual(
      hits.map((hit) => [hit.path, hit.duplicates.map(({ path }) => path)]),
      [['a/x.md', ['b/x.md']]],
    );
    // One changes while a third takes the old text, in one batch.
    workspace.write('a/x.md', 'Other text.');
    workspace.write('b/x.md', 'Third text.');
    workspace.write('c/x.md', 'Same text.');
    assert.equal((await workspace.update(index)).chunks, 3);
    assert.deepEqual(await placesOf(index, 'same'), ['c/x.md:1']);
  });

  it('obeys .gitignore, .springignore, exclude globs and size limits', async () => {
    using workspace = new TestWorkspace({
      '.gitignore': '/out\n*.tmp.md\n',
      'sub/.gitignore': '!keep.tmp.md\n',
      '.springignore': 'private/\n',
      'out/a.md': 'word one',
      'b.tmp.md': 'word two',
      'sub/keep.tmp.md': 'word three',
      'private/c.md': 'word four',
      'vendor/d.md': 'word five',
      'node_modules/p/e.md': 'word six',
      'big.md': 'word '.repeat(300),
      'f.md': 'word',
    });
    using index = workspace.open({ exclude: ['**/vendor'], maxTextBytes: 1000 });
    const { problems } = await workspace.update(index);
    assert.deepEqual((await placesOf(index, 'word')).sort(), ['f.md:1', 'sub/keep.tmp.md:1'].sort());
    assert.deepEqual(problems, [
      { path: 'big.md', kind: 'tooLarge', reason: 'has 1500 bytes, more than the limit of 1000' },
    ]);
    // Rules that change take effect.
    workspace.write('.gitignore', '*.tmp.md\n');
    await workspace.update(index);
    assert.ok((await placesOf(index, 'word')).includes('out/a.md:1'));
  });

  it('lists what cannot be read and goes on', async () => {
    using workspace = new TestWorkspace({
      'a.md': 'readable',
      'b.txt': new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13]),
      'c.pdf': 'no pdf',
      'd.md': 'secret',
    });
    chmodSync(workspace.path('d.md'), 0);
    using index = workspace.open();
    const { problems } = await workspace.update(index);
    const expected = ['b.txt is binary, not text', 'c.pdf is not a readable PDF (Invalid PDF structure.)'];
    if (getuid?.() !== 0) expected.push('d.md may not be read (permission denied)'); // The super-user may.
    assert.deepEqual(
      problems.map(({ path, reason }) => `${path} ${reason}`),
      expected,
    );
    assert.deepEqual(await placesOf(index, 'readable'), ['a.md:1']);
    workspace.write('c.pdf', 'still no pdf');
    workspace.write('b.txt', 'now it is text');
    assert.deepEqual(
      (await workspace.update(index)).problems.map(({ path }) => path),
      expected.map((line) => line.slice(0, 5).trim()).slice(1),
    );
  });

  it('can be cancelled and goes on where it was', async () => {
    using workspace = new TestWorkspace();
    for (let i = 0; i < 50; i++) workspace.write(`${i}.md`, `file number ${i}`);
    using index = workspace.open();
    const controller = new AbortController();
    controller.abort();
    await assert.rejects(
      lastOf(index.update([workspace.folder], { signal: controller.signal })),
      CancelledError,
    );
    assert.equal((await workspace.update(index)).chunks, 50);
  });

  it('keeps settings and rebuilds what they shape', async () => {
    const text = Array.from({ length: 300 }, (_, i) => `Sentence ${i}.`).join(' ');
    using workspace = new TestWorkspace({
      'a.md': text,
      'b.py': '"""A docstring of some twenty letters."""',
    });
    let chunks: number;
    {
      using index = workspace.open({ chunkWords: 200 });
      ({ chunks } = await workspace.update(index));
    }
    {
      using index = workspace.open();
      assert.equal(index.settings.chunkWords, 200);
      assert.equal((await workspace.update(index)).unchanged, 1);
    }
    using index = workspace.open({ chunkWords: 50, sourceCode: true });
    const after = await workspace.update(index);
    assert.deepEqual([after.changed, after.added], [1, 1]);
    assert.ok(after.chunks > chunks * 3);
    assert.throws(() => workspace.open({ chunkWords: 0 }), UserError);
  });

  it('updates single files, folders and what is gone', async () => {
    using workspace = new TestWorkspace({
      '.gitignore': 'no',
      'a.md': 'apple',
      'sub/b.md': 'berry',
      'sub/c.md': 'cherry',
    });
    using index = workspace.open();
    await workspace.update(index);
    const touch = (...paths: string[]) =>
      lastOf(
        index.updateFiles(
          workspace.folder,
          paths.map((path) => workspace.path(path)),
        ),
      );
    workspace.write('a.md', 'apricot');
    workspace.write('no/d.md', 'date');
    await touch('a.md', 'no/d.md', 'no/d.md', '../outside.md');
    assert.deepEqual(await placesOf(index, 'apple apricot date'), ['a.md:1']);
    workspace.remove('sub');
    assert.equal((await touch('sub')).removed, 2);
    assert.deepEqual(await placesOf(index, 'berry cherry'), []);
    workspace.write('sub/deep/e.md', 'elderberry');
    await touch('sub');
    assert.deepEqual(await placesOf(index, 'elderberry'), ['sub/deep/e.md:1']);
    workspace.write('.gitignore', '');
    await touch('.gitignore');
    assert.deepEqual(await placesOf(index, 'date'), ['no/d.md:1']);
  });

  it('refuses a folder that is not there', async () => {
    using workspace = new TestWorkspace();
    using index = workspace.open();
    await assert.rejects(lastOf(index.update([workspace.path('nope')])), UserError);
  });
});

describe('an index file', () => {
  it('is updated by one at a time: the second waits', async () => {
    using workspace = new TestWorkspace({ 'a.md': 'apple' });
    using one = workspace.open();
    using two = workspace.open();
    const first = one.update([workspace.folder]);
    let phase: string | undefined = '';
    while (phase !== 'done') phase = phaseOf(await first.next());
    // The first has not ended yet: its lock is given back when it is asked for more.
    const second = two.update([workspace.folder]);
    assert.equal(phaseOf(await second.next()), 'waiting');
    await first.next();
    assert.equal((await lastOf(second)).unchanged, 1);
    assert.deepEqual(await placesOf(two, 'apple'), ['a.md:1']);
  });

  it('that is damaged or old is replaced, a newer one refused', async () => {
    using workspace = new TestWorkspace({ 'a.md': 'apple' });
    writeFileSync(workspace.indexFile, 'this is no database, '.repeat(500));
    {
      using index = workspace.open();
      assert.match(index.status().startedAnew ?? '', /damaged/);
      await workspace.update(index);
      assert.deepEqual(await placesOf(index, 'apple'), ['a.md:1']);
    }
    assert.ok(existsSync(`${workspace.indexFile}.damaged`));
    const setVersion = (version: number) => {
      using database = new DatabaseSync(workspace.indexFile);
      database.exec(`PRAGMA user_version = ${version}`);
    };
    setVersion(999);
    assert.throws(() => workspace.open(), /newer version/);
    setVersion(-1);
    using index = workspace.open();
    assert.match(index.status().startedAnew ?? '', /schema/);
  });

  it('has a hash of what it holds', async () => {
    using workspace = new TestWorkspace({ 'a.md': 'apple' });
    using index = workspace.open();
    await workspace.update(index);
    const { contentHash } = index.status();
    workspace.write('a.md', 'apples');
    await workspace.update(index);
    assert.notEqual(index.status().contentHash, contentHash);
    workspace.write('a.md', 'apple');
    await workspace.update(index);
    assert.equal(index.status().contentHash, contentHash);
  });
});

describe('searching', () => {
  it('finds names by parts and as a whole, in any style', async () => {
    using workspace = new TestWorkspace({
      'a.md': 'Set maxRetryCount in src/http/client.ts before release 19.28.6.',
      'b.md': 'The count of a retry is at its max in 6 of 28 cases, 19 at most.',
    });
    using index = workspace.open();
    await workspace.update(index);
    for (const query of ['max_retry_count', 'maxRetryCount', 'client.ts', 'src/http/client.ts', '19.28.6']) {
      assert.equal((await placesOf(index, query))[0], 'a.md:1', query);
    }
    for (const query of ['retries', 'http', 'Count'])
      assert.ok((await placesOf(index, query)).includes('a.md:1'), query);
  });

  it('takes every query as text', async () => {
    using workspace = new TestWorkspace({ 'a.md': 'alpha "beta" gamma' });
    using index = workspace.open();
    await workspace.update(index);
    for (const query of [
      '"',
      '"beta',
      'alpha AND',
      'NOT',
      '(',
      '*',
      'body:alpha',
      'a^2',
      "'; DROP TABLE chunks",
      '\0',
      '😀',
    ]) {
      await index.search(query);
    }
    assert.deepEqual(await placesOf(index, 'NEAR("beta'), ['a.md:1']);
  });

  it('filters by path, limits and collapses copies', async () => {
    using workspace = new TestWorkspace({
      'docs/a.md':
        'Heron stations need a lamp, a mast and a rope of good quality, and someone who looks after all of them every year.',
      'docs/old/b.md':
        'Heron stations need a lamp, a mast and a rope of good quality, and someone who looks after all of them each year.',
      'c.txt': 'Heron is a bird.',
    });
    using index = workspace.open();
    await workspace.update(index);
    const { hits } = await index.search('heron');
    assert.equal(hits.length, 2);
    assert.deepEqual(
      hits.map((hit) => hit.rank),
      [1, 2],
    );
    assert.equal(hits.flatMap((hit) => hit.duplicates).length, 1);
    const filtered = await index.search('heron', { pathGlob: 'docs/**' });
    assert.ok(filtered.hits.every((hit) => hit.path.startsWith('docs/')));
    assert.equal((await index.search('heron', { limit: 1 })).hits.length, 1);
    await assert.rejects(index.search('heron', { limit: 0 }), UserError);
  });

  it('without an embedding model is by words and says so', async () => {
    using workspace = new TestWorkspace({ 'a.md': 'alpha' });
    using index = workspace.open();
    await workspace.update(index);
    const { mode, notices } = await index.search('alpha');
    assert.equal(mode, 'bm25');
    assert.match(notices.join(), /No embedding model/);
    await assert.rejects(index.search('alpha', { mode: 'hybrid' }), UserError);
  });
});
