import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { openIndex, type WorkspaceIndex } from '../../src/retrieval/workspaceIndex.ts';
import { lastOf, TestWorkspace } from '../unit/retrieval/workspace.ts';

/** KILLS=60 runs the long version. */
const kills = Number(process.env['KILLS'] ?? 6);
const files = 300;
const queries = [
  'heron lamp',
  'rope number 17',
  'section 2',
  'mast',
  'word41',
  'archive copy 3',
  'maxRetryCount',
];

/** A small generator of its own seed, so that a failure can be repeated. */
let seed = Number(process.env['SEED'] ?? 1);
function below(limit: number): number {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 2 ** 32) * limit);
}

function content(): string {
  const words = ['heron', 'lamp', 'rope', 'mast', 'archive', 'copy', 'number', 'maxRetryCount', 'station'];
  const sentence = () =>
    Array.from({ length: 12 }, () =>
      below(4) === 0 ? `word${below(60)}` : words[below(words.length)]!,
    ).join(' ');
  return Array.from(
    { length: 1 + below(6) },
    (_, n) => `## Section ${n}\n\n${sentence()}.\n\n${sentence()}.\n`,
  ).join('\n');
}

function change(workspace: TestWorkspace): void {
  for (let i = 0; i < 60; i++) {
    const path = `d${below(8)}/f${below(files)}.md`;
    if (below(5) === 0) {
      workspace.write(path, '');
      workspace.remove(path);
    } else {
      workspace.write(path, content());
    }
  }
}

/** Starts an update in a process of its own and kills it after a random while. Whether it was still working. */
async function killUpdate(workspace: TestWorkspace, longest: number): Promise<boolean> {
  const worker = fork(
    join(import.meta.dirname, 'retrievalKillWorker.ts'),
    [workspace.indexFile, workspace.folder],
    {
      execArgv: ['--disable-warning=ExperimentalWarning'],
    },
  );
  const exited = once(worker, 'exit');
  await once(worker, 'message');
  await delay(below(longest));
  worker.kill('SIGKILL');
  const [, signal] = (await exited) as [number | null, string | null];
  return signal === 'SIGKILL';
}

async function resultsOf(index: WorkspaceIndex): Promise<unknown[]> {
  const results: unknown[] = [];
  for (const query of queries) {
    const { hits } = await index.search(query, { limit: 20 });
    results.push(
      hits.map(({ path, startLine, endLine, text, score }) => [path, startLine, endLine, text, score]),
    );
  }
  return results;
}

function checkIntegrity(file: string): void {
  using database = new DatabaseSync(file);
  assert.equal(database.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok');
  database.exec("INSERT INTO chunk_search (chunk_search) VALUES ('integrity-check')");
  const count = (sql: string) => Number(database.prepare(sql).get()?.['n']);
  assert.equal(
    count('SELECT count(*) AS n FROM chunk_search_docsize'),
    count('SELECT count(*) AS n FROM chunks'),
  );
  const orphans = `SELECT count(*) AS n FROM documents d WHERE NOT EXISTS (SELECT 1 FROM files WHERE document = d.id)`;
  assert.equal(count(orphans), 0, 'documents without a file');
  assert.equal(count('SELECT count(*) AS n FROM chunks WHERE document NOT IN (SELECT id FROM documents)'), 0);
}

describe('an index whose process is killed', () => {
  it(`${kills} times is whole and, brought up to date, answers like a new one`, async function () {
    this.timeout(60_000 + kills * 15_000);
    using workspace = new TestWorkspace();
    for (let i = 0; i < files; i++) workspace.write(`d${i % 8}/f${i}.md`, content());
    let killedAtWork = 0;
    for (let round = 0; round < kills; round++) {
      if (await killUpdate(workspace, 400)) killedAtWork++;
      checkIntegrity(workspace.indexFile);
      change(workspace);
      if (round % 5 !== 4) continue;
      await compareWithNew(workspace);
    }
    await compareWithNew(workspace);
    assert.ok(
      killedAtWork > kills / 3,
      `only ${killedAtWork} of ${kills} were at work when they were killed`,
    );
    process.stderr.write(`      (${killedAtWork} of ${kills} were at work)\n`);
  });
});

async function compareWithNew(workspace: TestWorkspace): Promise<void> {
  using index = openIndex(workspace.indexFile);
  await lastOf(index.update([workspace.folder]));
  using fresh = openIndex(join(workspace.top, `fresh${below(1e9)}.sqlite`));
  await lastOf(fresh.update([workspace.folder]));
  assert.equal(index.status().contentHash, fresh.status().contentHash);
  assert.equal(index.status().chunks, fresh.status().chunks);
  assert.deepEqual(await resultsOf(index), await resultsOf(fresh));
}
