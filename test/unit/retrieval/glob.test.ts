import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { UserError } from '../../../src/protocol/errors.ts';
import { globMatcher } from '../../../src/retrieval/files/glob.ts';
import { parseIgnoreFile } from '../../../src/retrieval/files/ignoreRules.ts';
import { lastOf, placesOf, TestWorkspace } from './workspace.ts';

/** As the walk asks: a folder that is left out is not entered. */
function ignores(text: string, path: string, ignoreCase = false): boolean {
  const rules = parseIgnoreFile(text, ignoreCase);
  const names = path.split('/');
  return names.some((_, place) => {
    const isFolder = place < names.length - 1;
    const last = rules.findLast(
      (rule) => (isFolder || !rule.foldersOnly) && rule.matches(names.slice(0, place + 1)),
    );
    return last !== undefined && !last.bringsBack;
  });
}

describe('rules of .gitignore', () => {
  it('are those of git', () => {
    const cases: [rules: string, ignored: string[], kept: string[]][] = [
      ['core', ['core', 'a/core', 'core/a.md'], ['Core/a.md', 'cores', 'a/score']],
      ['/out', ['out/a.md'], ['a/out']],
      ['docs/*.md', ['docs/a.md'], ['docs/b/a.md', 'a/docs/a.md']],
      ['build/', ['build/a.md', 'a/build/b'], ['build']],
      ['a/**/z.md', ['a/z.md', 'a/b/c/z.md'], ['z.md', 'b/a/z.md']],
      ['**/tmp', ['tmp/a', 'a/b/tmp'], ['tmpl']],
      ['a/**', ['a/b', 'a/b/c'], ['a', 'ba']],
      ['*.md\n!keep.md', ['a.md', 'b/a.md'], ['keep.md', 'b/keep.md']],
      ['[ab].md\n[!c-e].txt', ['a.md', 'f.txt'], ['c.md', 'd.txt', 'ab.md']],
      ['\\#a\n\\!b\nc\\ ', ['#a', '!b', 'c '], ['a', 'b', 'c']],
      ['# a\n\n  \nd?g', ['dog', 'd.g'], ['# a', 'dg', 'd/g']],
      ['trail.md   ', ['trail.md'], ['trail.md   ']],
    ];
    for (const [rules, ignored, kept] of cases) {
      for (const path of ignored) assert.ok(ignores(rules, path), `${rules} ignores ${path}`);
      for (const path of kept) assert.ok(!ignores(rules, path), `${rules} keeps ${path}`);
    }
  });

  it('compare letters as the repository says', async () => {
    assert.ok(ignores('Core', 'core/a.md', true));
    for (const [ignoreCase, expected] of [
      ['false', ['Core/a.md:1']],
      ['true', []],
    ] as const) {
      using workspace = new TestWorkspace({ '.gitignore': 'core\n', 'Core/a.md': 'The osprey nests.' });
      execFileSync('git', ['init', '-q'], { cwd: workspace.folder });
      execFileSync('git', ['config', 'core.ignorecase', ignoreCase], { cwd: workspace.folder });
      using index = workspace.open();
      await workspace.update(index);
      assert.deepEqual(await placesOf(index, 'osprey'), expected, ignoreCase);
    }
  });

  it('cost little, however many stars they have', async () => {
    const deep = Array.from({ length: 45 }, () => 'a').join('/');
    using workspace = new TestWorkspace({
      '.gitignore': `${'a/**/'.repeat(15)}b\n${'*a'.repeat(60)}b\n`,
      [`${deep}/c.md`]: 'The osprey nests.',
      [`${'a'.repeat(200)}.md`]: 'The osprey dives.',
    });
    using index = workspace.open({ exclude: [`${'**/a/'.repeat(20)}x`, `${'**/*a*'.repeat(20)}x`] });
    const started = performance.now();
    await lastOf(index.update([workspace.folder]));
    assert.ok(performance.now() - started < 5000);
    assert.equal((await placesOf(index, 'osprey')).length, 2);
  });
});

describe('glob patterns', () => {
  it('know stars, sets and alternatives', () => {
    const cases: [pattern: string, yes: string[], no: string[]][] = [
      ['docs/**/*.{md,txt}', ['docs/a.md', 'docs/b/c.txt'], ['a.md', 'docs/a.rst']],
      ['**/vendor', ['vendor', 'a/vendor'], ['vendors', 'vendor/a']],
      ['{**/a,b/{c,d}}', ['x/a', 'b/c', 'b/d'], ['b', 'c']],
      ['a{b}', ['a{b}'], ['ab']],
      ['./src/*', ['src/a'], ['src/a/b']],
      ['[', ['['], ['a']],
      ['**', ['a', 'a/b'], []],
    ];
    for (const [pattern, yes, no] of cases) {
      const matches = globMatcher([pattern]);
      for (const path of yes) assert.ok(matches(path), `${pattern} ${path}`);
      for (const path of no) assert.ok(!matches(path), `${pattern} ${path}`);
    }
  });
  it('with very many alternatives are refused', () =>
    assert.throws(() => globMatcher(['{a,b}'.repeat(20)]), UserError));
});
