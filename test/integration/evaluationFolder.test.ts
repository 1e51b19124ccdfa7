/** `spring eval --out`: a later run with fewer conditions or questions leaves the report of all that is there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'mocha';

const root = resolve(import.meta.dirname, '../..');

describe('evaluations into one folder', function () {
  this.timeout(60_000);
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'spring-eval-'));
    const lines = readFileSync(join(root, 'samples/questions/qa-test.jsonl'), 'utf8').split('\n');
    writeFileSync(join(folder, 'data.jsonl'), lines.slice(0, 3).join('\n'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const evaluate = (...args: string[]): { stderr: string; variants: string[]; report: string } => {
    const out = join(folder, 'out');
    const given = [
      'eval',
      '--data',
      join(folder, 'data.jsonl'),
      '--out',
      out,
      '--max-new-tokens',
      '4',
      ...args,
    ];
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', 'src/cli/main.ts', ...given],
      { cwd: root, encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' } },
    );
    assert.equal(status, 0, stderr);
    const summary = JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8')) as {
      variants: { id: string; passages: number }[];
    };
    const variants = summary.variants.map(({ id, passages }) => `${id} ${passages}`);
    return { stderr, variants, report: readFileSync(join(out, 'report.html'), 'utf8') };
  };

  it('report over all that is there', () => {
    const all = ['baseline 2', 'prompt 2', 'no-rag 0'];
    assert.deepEqual(evaluate('--variants', 'baseline,prompt,no-rag', '--passages', '2').variants, all);
    const { stderr, variants, report } = evaluate('--variants', 'no-rag');
    assert.match(stderr, /3 of 3 answers are there already/);
    assert.deepEqual(variants.toSorted(), all.toSorted());
    assert.match(report, /Baseline/);
    const fewer = evaluate('--variants', 'no-rag', '--limit', '1');
    assert.match(fewer.stderr, /answers to 2 other questions; the report is of the 1 asked for/);
  });

  it('say that passages of the data are not used beside a workspace', () => {
    const { stderr } = evaluate(
      ...['--variants', 'no-rag', '--limit', '1', '--workspace', 'samples/workspace'],
      ...['--out', join(folder, 'other')],
    );
    assert.match(stderr, /data\.jsonl are not used: --workspace retrieves others from/);
  });
});
