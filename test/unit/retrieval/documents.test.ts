import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import iconv from 'iconv-lite';
import { UserError } from '../../../src/protocol/errors.ts';
import { chunkDocument, type Chunk } from '../../../src/retrieval/chunks/chunkDocument.ts';
import { decodeText } from '../../../src/retrieval/documents/decode.ts';
import { formatOf, parseDocument } from '../../../src/retrieval/documents/formats.ts';
import { makeDocx, makePdf } from './documentFiles.ts';
import { assertGolden } from './golden.ts';

const fixtures = join(import.meta.dirname, '../../fixtures/retrieval');

async function chunksOf(name: string, bytes: Uint8Array): Promise<Chunk[]> {
  const format = formatOf(name, true);
  assert.ok(format, `${name} has a format`);
  return chunkDocument(await parseDocument(format, name, bytes), { chunkWords: 100 });
}

function listing(chunks: readonly Chunk[]): string {
  return chunks
    .map(
      ({ text, startLine, endLine, headings, headingLines }) =>
        `=== lines ${startLine}-${endLine}, heading lines ${headingLines}, ${headings.join(' > ') || '(no heading)'}\n${text}\n`,
    )
    .join('');
}

describe('chunks of documents', () => {
  const lineBased = ['guide.md', 'manual.rst', 'notes.adoc', 'station.py', 'letter.txt'];
  for (const name of [...lineBased, 'page.html', 'analysis.ipynb']) {
    it(`of ${name} are as in the golden file`, async () => {
      assertGolden(`${name}.txt`, listing(await chunksOf(name, readFileSync(join(fixtures, name)))));
    });
  }

  for (const name of lineBased) {
    it(`of ${name} stand in the lines that they name`, async () => {
      const bytes = readFileSync(join(fixtures, name));
      const fileLines = bytes.toString('utf8').split('\n');
      for (const chunk of await chunksOf(name, bytes)) {
        const inFile = fileLines.slice(chunk.startLine - 1, chunk.endLine).join('\n');
        const words = (text: string) => text.match(/\S+/g) ?? [];
        const found = words(inFile)
          .join(' ')
          .includes(words(chunk.text.split('\n')[0]!).join(' '));
        assert.ok(found, `${chunk.startLine}: ${chunk.text}`);
        assert.ok(inFile.includes(chunk.text.split('\n').at(-1)!), `${chunk.endLine}: ${chunk.text}`);
      }
    });
  }

  it('of a PDF know its pages and headings', async () => {
    const pdf = makePdf([
      [
        { text: 'Heron report', size: 20, y: 700 },
        { text: 'The relay was ins-', size: 11, y: 660 },
        { text: 'talled in May (first part).', size: 11, y: 647 },
        { text: 'A second paragraph.', size: 11, y: 600 },
      ],
      [{ text: 'Text of the second page.', size: 11, y: 700 }],
    ]);
    assertGolden('report.pdf.txt', listing(await chunksOf('report.pdf', pdf)));
  });

  it('of a Word document follow its heading styles', async () => {
    const docx = await makeDocx([
      { text: 'Heron handbook', style: 'Heading1' },
      { text: 'For all operators &amp; guests.' },
      { text: 'Night shift', style: 'Heading2' },
      { text: 'Keep the lamp on.' },
    ]);
    assertGolden('handbook.docx.txt', listing(await chunksOf('handbook.docx', docx)));
  });

  it('never cross a heading and stay near the wanted size', () => {
    const blocks = [1, 2, 3].flatMap((section) => [
      {
        kind: 'heading' as const,
        text: `# S${section}`,
        lines: [section * 100],
        level: 1,
        title: `S${section}`,
      },
      ...[1, 2, 3, 4, 5].map((paragraph) => ({
        kind: 'paragraph' as const,
        text: Array.from({ length: 40 }, (_, word) => `w${section}x${word}`).join(' '),
        lines: [section * 100 + paragraph * 2],
      })),
    ]);
    const chunks = chunkDocument({ blocks }, { chunkWords: 100 });
    for (const chunk of chunks) {
      assert.equal(new Set(chunk.text.match(/w\d(?=x)/g)).size, 1);
      assert.ok(chunk.text.split(/\s+/).length <= 150);
    }
    assert.equal(chunks.length, 6);
  });

  it('cut text without spaces', () => {
    const text = '水'.repeat(3000);
    const chunks = chunkDocument({ blocks: [{ kind: 'paragraph', text, lines: [1] }] }, { chunkWords: 100 });
    assert.ok(chunks.length > 3);
    assert.equal(chunks.map((chunk) => chunk.text).join(''), text);
  });
});

describe('unreadable documents', () => {
  const rejects = (name: string, bytes: Uint8Array, message: RegExp) =>
    assert.rejects(
      chunksOf(name, bytes),
      (error) => error instanceof UserError && message.test(error.message),
    );
  it('say what is wrong', async () => {
    await rejects('a.txt', Buffer.from([0x89, 0x50, 0, 1, 2, 3, 0, 0, 7]), /binary/);
    await rejects('a.ipynb', Buffer.from('{"cells": ['), /not a notebook/);
    await rejects('a.pdf', Buffer.from('no pdf'), /not a readable PDF/);
    await rejects('a.pdf', makePdf([[]]), /without text/);
    await rejects('a.docx', Buffer.from('no docx'), /not a readable Word document/);
  });
});

describe('decodeText', () => {
  const german =
    'Grüße aus Köln: die Straße ist naß, für Fußgänger gefährlich, schöne Bäume überall.\nÄpfel.';
  it('reads UTF-8 and UTF-16 with and without a mark', () => {
    for (const encoding of ['utf8', 'utf16le', 'utf-16be'] as const) {
      assert.equal(decodeText(iconv.encode(german, encoding)), german, encoding);
      assert.equal(
        decodeText(iconv.encode(german, encoding, { addBOM: true })),
        german,
        `${encoding} with mark`,
      );
    }
  });
  it('guesses older encodings', () => {
    assert.equal(decodeText(iconv.encode(german, 'windows-1252')), german);
    const japanese = 'これは日本語の文章です。図書館で本を読みました。'.repeat(5);
    assert.equal(decodeText(iconv.encode(japanese, 'shift_jis')), japanese);
  });
  it('makes one kind of line ends', () => assert.equal(decodeText(Buffer.from('a\r\nb\rc\n')), 'a\nb\nc\n'));
  it('knows binary data', () => assert.equal(decodeText(Buffer.from([1, 0, 2, 0, 0, 5, 9, 200])), undefined));
});
