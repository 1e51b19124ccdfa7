import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { placesOf, TestWorkspace } from '../unit/retrieval/workspace.ts';

describe('one index in several processes', () => {
  it('is updated by all of them, one after the other, and searched meanwhile', async () => {
    using workspace = new TestWorkspace();
    for (let i = 0; i < 200; i++) workspace.write(`f${i}.md`, `# File ${i}\n\nText number${i} of it.`);
    const workers = [1, 2, 3].map(() =>
      fork(join(import.meta.dirname, 'retrievalKillWorker.ts'), [workspace.indexFile, workspace.folder], {
        execArgv: ['--disable-warning=ExperimentalWarning'],
      }),
    );
    const exits = Promise.all(workers.map((worker) => once(worker, 'exit')));
    using index = workspace.open();
    let ended = false;
    const allEnded = exits.then(() => (ended = true));
    while (!ended) {
      await placesOf(index, 'number199 text');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await allEnded;
    assert.deepEqual(
      (await exits).map(([code]) => code as unknown),
      [0, 0, 0],
    );
    assert.deepEqual(await placesOf(index, 'number199'), ['f199.md:1']);
    assert.equal(index.status().chunks, 200);
    assert.equal((await workspace.update(index)).added, 0);
  });
});
