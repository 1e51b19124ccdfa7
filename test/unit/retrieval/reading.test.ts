import assert from 'node:assert/strict';
import { CancelledError } from '../../../src/protocol/errors.ts';
import { DocumentProblem } from '../../../src/retrieval/documents/problem.ts';
import type { DocumentFormat } from '../../../src/retrieval/documents/formats.ts';
import { DocumentReader } from '../../../src/retrieval/reading/documentReader.ts';
import { makeDocx } from './documentFiles.ts';
import { lastOf, placesOf, TestWorkspace } from './workspace.ts';

const request = (text: string, format: DocumentFormat = 'markdown') => ({
  format,
  path: 'a.md',
  source: { text },
  chunkWords: 100,
});
/** Takes the parser some seconds at least. */
const slow = request('- a\n\n  - b\n\n'.repeat(300_000));

async function problemOf(reading: Promise<unknown>): Promise<string> {
  try {
    await reading;
  } catch (error) {
    if (error instanceof DocumentProblem) return error.kind;
    throw error;
  }
  return 'none';
}

describe('reading documents in a process of its own', () => {
  it('ends what takes too long, and goes on with the next', async () => {
    const reader = new DocumentReader(300);
    try {
      const results = [reader.read(slow), reader.read(request('# After')), reader.read(slow)].map(problemOf);
      assert.deepEqual(await Promise.all(results), ['timedOut', 'none', 'timedOut']);
    } finally {
      reader.close();
    }
  });

  it('ends at once when it is cancelled', async () => {
    const reader = new DocumentReader();
    try {
      await reader.read(request('# First'));
      const controller = new AbortController();
      const reading = reader.read(slow, controller.signal);
      const started = performance.now();
      setTimeout(() => controller.abort(), 100);
      await assert.rejects(reading, CancelledError);
      assert.ok(performance.now() - started < 2000);
      assert.equal((await reader.read(request('# After'))).chunks[0]?.text, '# After');
    } finally {
      reader.close();
    }
  });

  it('lists what needs too much memory or unpacks to too much, and indexes the rest', async function () {
    this.timeout(60_000);
    const large = 'x'.repeat(1_000_000);
    using workspace = new TestWorkspace({
      'memory.docx': await makeDocx(Array.from({ length: 300_000 }, () => ({ text: 'a' }))),
      'unpacked.docx': await makeDocx(Array.from({ length: 80 }, () => ({ text: large }))),
      'nested.ipynb': `{"cells":${'['.repeat(100_000)}`,
      'good.md': 'The kestrel hovers.',
    });
    using index = workspace.open();
    const { problems } = await workspace.update(index);
    assert.deepEqual(
      problems.map(({ path, kind }) => `${path} ${kind}`),
      ['memory.docx tooMuchMemory', 'nested.ipynb damaged', 'unpacked.docx tooLarge'],
    );
    assert.match(problems[0]!.reason, /needs more than 500 MB of memory/);
    assert.deepEqual(await placesOf(index, 'kestrel'), ['good.md:1']);
    // What cannot be read is not tried again while it stays as it is.
    const started = performance.now();
    await workspace.update(index);
    await workspace.update(index);
    assert.ok(performance.now() - started < 20_000);
  });

  it('answers searches while a large document is written to the index', async function () {
    this.timeout(60_000);
    using workspace = new TestWorkspace({ 'a.md': 'The kestrel hovers.' });
    using index = workspace.open();
    await workspace.update(index);
    const paragraph = 'Words of a long text about nothing that anybody would look for in this test. ';
    for (let file = 0; file < 4; file++) {
      workspace.write(`large${file}.md`, `# Part ${file}\n\n${`${paragraph.repeat(5)}\n\n`.repeat(3000)}`);
    }
    const delays: number[] = [];
    let isDone = false;
    const update = lastOf(index.update([workspace.folder])).finally(() => (isDone = true));
    while (!isDone) {
      const started = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 5));
      assert.deepEqual(await placesOf(index, 'kestrel'), ['a.md:1']);
      delays.push(performance.now() - started);
    }
    assert.ok((await update).chunks > 4000);
    delays.sort((a, b) => a - b);
    assert.ok(delays[Math.floor(delays.length * 0.95)]! < 200, delays.slice(-20).join());
  });
});

describe('the list of problems', () => {
  it('says of every file that is not searched why, by kind', async () => {
    using workspace = new TestWorkspace({
      'binary.txt': new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13]),
      'blank.md': ' \n\n',
      'empty.ipynb': '',
      'picture.html': '<body><img src="a.png"></body>',
      'comment.md': '<!-- nothing else -->',
      'code.ts': 'const a = 1;',
      'letter.odt': 'PK',
      'photo.png': 'PNG',
      'big.md': 'word '.repeat(500),
      'good.md': 'Good.',
    });
    using index = workspace.open({ maxTextBytes: 1000, sourceCode: true });
    const { problems } = await workspace.update(index);
    assert.deepEqual(
      problems.map(({ path, kind }) => `${path} ${kind}`),
      [
        'big.md tooLarge',
        'binary.txt damaged',
        'comment.md noText',
        'letter.odt unknownFormat',
        'picture.html noText',
      ],
    );
    assert.equal((await workspace.update(index)).unchanged, 9);
    workspace.write('picture.html', '<body>Now with words.</body>');
    workspace.remove('letter.odt');
    assert.deepEqual(
      (await workspace.update(index)).problems.map(({ path }) => path),
      ['big.md', 'binary.txt', 'comment.md'],
    );
  });
});
