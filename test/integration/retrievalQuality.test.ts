import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { lastOf, TestWorkspace } from '../unit/retrieval/workspace.ts';

const shared = resolve(import.meta.dirname, '../../../shared');
const samples = resolve(import.meta.dirname, '../../samples/workspace');

function readShared(context: Mocha.Context, path: string): Buffer {
  const file = resolve(shared, path);
  if (!existsSync(file)) {
    const message = `SKIPPED: ${file} is not there`;
    if (process.env['CI']) assert.fail(message);
    process.stderr.write(`      ${message}\n`);
    context.skip();
  }
  return readFileSync(file);
}

function jsonLines<T>(text: string): T[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}

describe('search quality', () => {
  it('finds the passages of NQ-open questions among all of them', async function () {
    this.timeout(300_000);
    const bytes = readShared(this, 'data/nq-open/questions-with-passage.jsonl.gz');
    interface Item {
      question: string;
      ctxs: { title: string; text: string }[];
    }
    const items = jsonLines<Item>(gunzipSync(bytes).toString('utf8'));
    using workspace = new TestWorkspace();
    const paths = items.map(({ ctxs }, i) => {
      workspace.write(`p${i}.md`, `# ${ctxs[0]!.title}\n\n${ctxs[0]!.text}\n`);
      return `p${i}.md`;
    });
    using index = workspace.open();
    await workspace.update(index);
    let first = 0;
    let amongTen = 0;
    for (const [i, { question }] of items.entries()) {
      const { hits } = await index.search(question, { limit: 10 });
      // A copy of the passage under another file's name is the passage too.
      const isRight = (hit: (typeof hits)[number]) =>
        [hit, ...hit.duplicates].some(({ path }) => path === paths[i]) ||
        hit.text.includes(items[i]!.ctxs[0]!.text);
      if (hits[0] && isRight(hits[0])) first++;
      if (hits.some(isRight)) amongTen++;
    }
    assert.ok(first / items.length >= 0.87, `hit@1 ${first / items.length}`);
    assert.ok(amongTen / items.length >= 0.97, `hit@10 ${amongTen / items.length}`);
  });

  it('finds the right one of the demo documents among the first three', async function () {
    interface Item {
      question: string;
      file: string;
    }
    const items = jsonLines<Item>(readShared(this, 'demo/qa-docs.jsonl').toString('utf8'));
    using workspace = new TestWorkspace();
    using index = workspace.open();
    assert.equal((await lastOf(index.update([samples]))).chunks, 347);
    let found = 0;
    for (const { question, file } of items) {
      const { hits } = await index.search(question, { limit: 3 });
      if (hits.some(({ path }) => path === file)) found++;
    }
    assert.ok(found / items.length >= 0.95, `hit@3 ${found / items.length}`);
  });
});
