import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { defaultIndexFile } from '../../src/retrieval/workspace.ts';
import { TestWorkspace } from '../unit/retrieval/workspace.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');

interface Output {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the command line with the indexes of the test kept away from the user's. */
async function spring(workspace: TestWorkspace, ...parameters: string[]): Promise<Output> {
  const env = {
    ...process.env,
    XDG_CACHE_HOME: join(workspace.top, 'cache'),
    LOCALAPPDATA: join(workspace.top, 'cache'),
  };
  try {
    const nodeOptions = ['--disable-warning=ExperimentalWarning', main];
    return {
      code: 0,
      ...(await promisify(execFile)(process.execPath, [...nodeOptions, ...parameters], { env })),
    };
  } catch (error) {
    return error as Output;
  }
}

describe('spring index and spring search', () => {
  it('build an index, find in it and print JSON', async () => {
    using workspace = new TestWorkspace({
      'docs/a.md': '# Heron\n\nThe lamp is red.',
      'b.txt': 'A mast.',
      'c.pdf': 'none',
    });
    const index = await spring(workspace, 'index', workspace.folder, '--json', '--chunk-words', '50');
    const built = JSON.parse(index.stdout) as Record<string, unknown>;
    assert.deepEqual([built['files'], built['added'], built['chunks']], [3, 3, 2]);
    assert.deepEqual(built['problems'], [
      { path: 'c.pdf', kind: 'damaged', reason: 'is not a readable PDF (Invalid PDF structure.)' },
    ]);

    const search = await spring(
      workspace,
      'search',
      'red "lamp',
      '--workspace',
      workspace.folder,
      '--json',
      '--top',
      '1',
    );
    const found = JSON.parse(search.stdout) as { query: string; hits: Record<string, unknown>[] };
    assert.equal(found.query, 'red "lamp');
    assert.equal(found.hits.length, 1);
    const { path, startLine, endLine, text, score, rank, bm25Rank, vectorRank } = found.hits[0]!;
    assert.deepEqual([path, startLine, endLine, rank, bm25Rank, vectorRank], ['docs/a.md', 1, 3, 1, 1, null]);
    assert.equal(text, '# Heron\n\nThe lamp is red.');
    assert.ok(typeof score === 'number' && score > 0);
    assert.match(search.stderr, /BM25/);

    const shown = await spring(workspace, 'search', 'mast', '--workspace', workspace.folder);
    assert.match(shown.stdout, /b\.txt:1/);
  });

  it('take the folder as an option, too, and name the kinds of what was skipped', async () => {
    using workspace = new TestWorkspace({
      'a.md': 'The lamp is red.',
      'b.odt': 'x',
      'c.html': '<body><img></body>',
    });
    const { stdout } = await spring(workspace, 'index', '--workspace', workspace.folder, '--json');
    const built = JSON.parse(stdout) as { folder: string; files: number; problems: { kind: string }[] };
    assert.deepEqual([built.folder, built.files], [workspace.folder, 3]);
    assert.deepEqual(
      built.problems.map(({ kind }) => kind),
      ['unknownFormat', 'noText'],
    );
    const same = await spring(workspace, 'index', workspace.folder, '--workspace', workspace.folder);
    assert.equal(same.code, 0);
    const two = await spring(workspace, 'index', workspace.folder, '--workspace', workspace.top);
    assert.equal(two.code, 1);
    assert.match(two.stderr, /Two folders are named/);
    const rebuilt = await spring(workspace, 'index', '--workspace', workspace.folder, '--rebuild', '--json');
    assert.equal((JSON.parse(rebuilt.stdout) as { added: number }).added, 3);
  });

  it('say what is wrong in one line', async () => {
    using workspace = new TestWorkspace();
    for (const parameters of [
      ['index', workspace.path('nope')],
      ['search', 'x', '--workspace', workspace.path('nope')],
      ['search', ' ', '--workspace', workspace.folder],
      ['search', 'x', '--workspace', workspace.folder, '--mode', 'hybrid'],
      ['index', workspace.folder, '--chunk-words', '1'],
      ['index', workspace.folder, '--embedder', workspace.path('nope')],
    ]) {
      const { code, stderr } = await spring(workspace, ...parameters);
      assert.equal(code, 1, parameters.join(' '));
      assert.equal(stderr.trim().split('\n').length, 1, stderr);
      assert.ok(!stderr.includes('    at '), stderr);
    }
    assert.equal((await spring(workspace, 'search', 'x', '--mode', 'magic')).code, 2);
  });

  it('keep the index out of the workspace, one for each folder', () => {
    using one = new TestWorkspace();
    using two = new TestWorkspace();
    assert.notEqual(defaultIndexFile(one.folder), defaultIndexFile(two.folder));
    assert.ok(!defaultIndexFile(one.folder).startsWith(one.folder));
    assert.equal(defaultIndexFile(join(one.folder, '.')), defaultIndexFile(one.folder));
  });
});
