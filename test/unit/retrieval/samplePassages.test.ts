import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { openIndex, type WorkspaceIndex } from '../../../src/retrieval/workspaceIndex.ts';

describe('passages sampled from an index', () => {
  let folder: string;
  let index: WorkspaceIndex;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sample-'));
    for (const letter of 'abcdef')
      await writeFile(join(folder, `${letter}.md`), `# ${letter}\n\nText ${letter}.\n`);
    // the same content twice is one passage
    await writeFile(join(folder, 'g.md'), '# f\n\nText f.\n');
    index = openIndex(join(folder, '.index.sqlite'));
    const progress = index.update([folder]);
    while (!(await progress.next()).done);
  });
  after(async () => {
    index.close();
    await rm(folder, { recursive: true });
  });

  it('come from all over it, each once, with their place', () => {
    const all = index.samplePassages(100);
    assert.equal(new Set(all.map(({ path }) => path)).size, all.length);
    assert.deepEqual(all.map(({ path }) => path).slice(0, 2), ['a.md', 'b.md']);
    assert.match(all[0]!.text, /Text a\./);
    assert.equal(all[0]!.startLine, 1);
    const few = index.samplePassages(3).map(({ path }) => path);
    assert.deepEqual(
      few,
      [all[0], all[Math.floor(all.length / 3)], all[Math.floor((2 * all.length) / 3)]].map((p) => p!.path),
    );
    assert.deepEqual(index.samplePassages(0), []);
  });
});
