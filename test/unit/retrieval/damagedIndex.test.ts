import assert from 'node:assert/strict';
import { existsSync, openSync, readFileSync, statSync, writeFileSync, writeSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { UserError } from '../../../src/protocol/errors.ts';
import { applicationId, schemaVersion } from '../../../src/retrieval/index/schema.ts';
import { searchRepaired } from '../../../src/retrieval/workspace.ts';
import { IndexDamagedError } from '../../../src/retrieval/workspaceIndex.ts';
import { indexRole } from '../../../src/engine/indexRole.ts';
import { lastOf, placesOf, TestWorkspace } from './workspace.ts';

/** A small generator of its own seed. */
function generator(seed: number): (limit: number) => number {
  return (limit) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * limit);
  };
}

async function indexed(): Promise<TestWorkspace> {
  const workspace = new TestWorkspace();
  for (let file = 0; file < 20; file++) {
    workspace.write(`f${file}.md`, `# File ${file}\n\nThe marker${file} of this file, and words.\n`);
  }
  using index = workspace.open({ chunkWords: 60 });
  await workspace.update(index);
  return workspace;
}

/** Overwrites bytes of a file in place, as a bad disk would. */
function overwrite(file: string, offset: number, bytes: Uint8Array): void {
  const handle = openSync(file, 'r+');
  writeSync(handle, bytes, 0, bytes.length, offset);
  closeSync(handle);
}

describe('an index file that is not what it should be', () => {
  it('is set aside and built anew with a message, whatever bytes of it are damaged', async function () {
    this.timeout(120_000);
    using workspace = await indexed();
    const whole = readFileSync(workspace.indexFile);
    const below = generator(5);
    let setAside = 0;
    let missed = 0;
    for (let round = 0; round < 60; round++) {
      const bytes = Buffer.from(whole);
      for (let count = 1 + below(4); count > 0; count--) {
        const start = below(bytes.length - 64);
        for (let at = start; at < start + 1 + below(64); at++) bytes[at] = below(256);
      }
      writeFileSync(workspace.indexFile, bytes);
      using index = workspace.open();
      await searchRepaired(index, [workspace.folder], 'marker7', { mode: 'bm25' });
      await workspace.update(index);
      for (let file = 0; file < 20; file++) {
        const places = await placesOf(index, `marker${file}`);
        if (index.status().startedAnew !== undefined) assert.deepEqual(places, [`f${file}.md:1`]);
        else if (places[0] !== `f${file}.md:1`) missed++;
      }
      if (index.status().startedAnew !== undefined) setAside++;
      assert.equal(index.status().files, 20);
    }
    assert.ok(setAside > 5, `${setAside}`);
    assert.ok(missed === 0, `${missed} missed`);
    assert.ok(existsSync(`${workspace.indexFile}.damaged`));
  });

  it('keeps its settings if they can be read', async () => {
    using workspace = await indexed();
    overwrite(
      workspace.indexFile,
      statSync(workspace.indexFile).size - 4096 * 3,
      new Uint8Array(4096 * 3).fill(7),
    );
    using index = workspace.open();
    assert.match(index.status().startedAnew ?? '', /damaged.*kept as .*\.damaged/);
    assert.equal(index.settings.chunkWords, 60);
  });

  it('may be damaged while it is open', async () => {
    using workspace = await indexed();
    using index = workspace.open();
    await placesOf(index, 'marker1');
    const { size } = statSync(workspace.indexFile);
    {
      // Another process writes nonsense into every page of the file but the first.
      using other = new DatabaseSync(workspace.indexFile);
      other.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    }
    overwrite(workspace.indexFile, 4096, new Uint8Array(size - 4096).fill(0x55));
    writeFileSync(`${workspace.indexFile}-wal`, '');
    let found: string[] = [];
    try {
      found = await placesOf(index, 'marker12');
    } catch (error) {
      assert.ok(error instanceof IndexDamagedError, String(error));
    }
    assert.ok(found.length <= 1);
    await workspace.update(index);
    const result = await searchRepaired(index, [workspace.folder], 'marker12', { mode: 'bm25' });
    assert.equal(result.hits[0]?.path, 'f12.md');
  });

  it('of another program is kept under another name, with its contents', async () => {
    for (const sql of [
      'CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES (1)',
      'CREATE TABLE meta (a); PRAGMA user_version = 7',
      'PRAGMA application_id = 1234; CREATE TABLE bookmarks (url TEXT)',
    ]) {
      using workspace = new TestWorkspace({ 'a.md': 'The plover calls.' });
      {
        using other = new DatabaseSync(workspace.indexFile);
        other.exec(sql);
      }
      const before = readFileSync(workspace.indexFile);
      using index = workspace.open();
      assert.match(index.status().startedAnew ?? '', /another program/);
      assert.deepEqual(readFileSync(`${workspace.indexFile}.foreign`), before);
      await workspace.update(index);
      assert.deepEqual(await placesOf(index, 'plover'), ['a.md:1']);
    }
  });

  it('that is empty, text or of an older version is replaced; one of a later version is left as it is', async () => {
    for (const [content, message] of [
      ['', undefined],
      ['A text, no database.\n'.repeat(300), /damaged/],
      ['x', /damaged/],
    ] as const) {
      using workspace = new TestWorkspace({ 'a.md': 'The plover calls.' });
      writeFileSync(workspace.indexFile, content);
      writeFileSync(`${workspace.indexFile}.lock`, content);
      using index = workspace.open();
      if (message) assert.match(index.status().startedAnew ?? '', message);
      else assert.equal(index.status().startedAnew, undefined);
      await workspace.update(index);
      assert.deepEqual(await placesOf(index, 'plover'), ['a.md:1']);
    }
    for (const id of [applicationId, 0]) {
      using workspace = await indexed();
      {
        using database = new DatabaseSync(workspace.indexFile);
        database.exec(`PRAGMA user_version = ${schemaVersion + 1}; PRAGMA application_id = ${id}`);
        database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      }
      const before = readFileSync(workspace.indexFile);
      assert.throws(
        () => workspace.open(),
        (error) => error instanceof UserError && /newer version/.test(error.message),
      );
      assert.deepEqual(readFileSync(workspace.indexFile), before);
    }
  });

  it('where nothing can be written is refused in a sentence', () => {
    using workspace = new TestWorkspace({ 'a.md': 'The plover calls.' });
    writeFileSync(join(workspace.top, 'file'), '');
    for (const file of [join(workspace.top, 'file', 'index.sqlite'), workspace.folder]) {
      using other = new TestWorkspace();
      Object.assign(other, { indexFile: file });
      assert.throws(() => other.open(), UserError);
    }
  });

  it('does not end the index process: the next search is answered from a new index', async () => {
    using workspace = await indexed();
    const role = indexRole(workspace.top);
    const context = { signal: new AbortController().signal, report: () => undefined };
    writeFileSync(workspace.indexFile, 'no database');
    const location = { indexFile: workspace.indexFile, folders: [workspace.folder], options: {} };
    const summary = await role.openIndex(location, context);
    assert.match(summary.notice ?? '', /started anew/);
    assert.equal(summary.updatedAt, null);
    assert.equal((await role.updateIndex({ rebuild: false, openTexts: [] }, context)).files, 20);
    assert.equal((await role.search({ query: 'marker9', count: 1 }, context))[0]?.path, 'f9.md');
    await role.openIndex({ ...location, indexFile: join(workspace.top, 'other.sqlite') }, context);
  });
});

describe('rebuilding', () => {
  it('begins a new file and keeps the settings; another process follows', async () => {
    using workspace = await indexed();
    using index = workspace.open();
    using other = workspace.open();
    const inode = statSync(workspace.indexFile).ino;
    await lastOf(index.update([workspace.folder], { rebuild: true }));
    assert.notEqual(statSync(workspace.indexFile).ino, inode);
    assert.equal(index.settings.chunkWords, 60);
    workspace.write('new.md', 'The plover calls.');
    await workspace.update(other);
    assert.deepEqual(await placesOf(index, 'plover'), ['new.md:1']);
    assert.deepEqual(await placesOf(other, 'marker4'), ['f4.md:1']);
  });

  it('is not needed to keep the file small: what deleted passages leave is removed', async function () {
    this.timeout(60_000);
    using workspace = await indexed();
    using index = workspace.open();
    const content = (round: number) =>
      Array.from(
        { length: 60 },
        (_, n) => `## Part ${n}\n\nWord${round}x${n} ${'of a paragraph that changes '.repeat(8)}\n`,
      ).join('\n');
    for (let round = 0; round < 12; round++) {
      for (let file = 0; file < 20; file++) workspace.write(`f${file}.md`, content(round * 100 + file));
      await workspace.update(index);
    }
    using fresh = new TestWorkspace();
    using freshIndex = fresh.open({ chunkWords: 60 });
    await lastOf(freshIndex.update([workspace.folder]));
    for (const file of [workspace.indexFile, fresh.indexFile]) {
      using database = new DatabaseSync(file);
      database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    }
    const ratio = statSync(workspace.indexFile).size / statSync(fresh.indexFile).size;
    assert.ok(ratio < 1.8, `${ratio} times a new one`);
    assert.deepEqual(
      (await index.search('paragraph Word1105x3')).hits[0]?.score,
      (await freshIndex.search('paragraph Word1105x3')).hits[0]?.score,
    );
  });
});
