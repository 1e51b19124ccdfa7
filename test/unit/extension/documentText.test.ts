/** PDF and Word documents as text: pages named, the lines of a passage found. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import {
  extractedText,
  isBinaryDocument,
  passageLines,
  type ExtractedText,
} from '../../../src/extension/documentText/extractedText.ts';
import { UserError } from '../../../src/protocol/errors.ts';
import { placeOf } from '../../../src/protocol/passages.ts';
import { DocumentReader } from '../../../src/retrieval/reading/documentReader.ts';
import { extractText } from '../../../src/retrieval/reading/extractText.ts';
import { makeDocx, makePdf } from '../retrieval/documentFiles.ts';

describe('the text of a PDF or Word document', () => {
  let folder: string;
  const reader = new DocumentReader();
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'spring-text-'));
    const page = (title: string, ...lines: string[]) => [
      { text: title, size: 20, y: 700 },
      ...lines.map((text, place) => ({ text, size: 10, y: 660 - 60 * place })),
    ];
    const pdf = makePdf([
      page('Harbor', 'Harbor is a server for many kinds of ships.', 'It listens on port 8080 by default.'),
      page('Limits', 'A timeout ends every call after 157 seconds.', 'It listens on port 8080 by default.'),
    ]);
    writeFileSync(join(folder, 'report.pdf'), pdf);
    writeFileSync(
      join(folder, 'plan.docx'),
      await makeDocx([
        { text: 'Plan', style: 'Heading1' },
        { text: 'First we measure.' },
        { text: 'Then we build.' },
      ]),
    );
    writeFileSync(join(folder, 'broken.pdf'), 'no pdf');
    writeFileSync(join(folder, 'notes.md'), '# Notes');
  });
  after(() => {
    reader.close();
    rmSync(folder, { recursive: true });
  });

  const read = async (path: string): Promise<ExtractedText> =>
    extractedText(path, (await extractText(reader, folder, path)).lines);
  const shown = ({ text }: ExtractedText, { first, last }: { first: number; last: number }): string[] =>
    text.split('\n').slice(first, last + 1);

  it('has a line with its number above every page', async () => {
    const { text } = await read('report.pdf');
    assert.deepEqual(
      text.split('\n').filter((line) => line.includes('Page') || line.includes('timeout')),
      ['――― Page 1 ―――', '――― Page 2 ―――', 'A timeout ends every call after 157 seconds.'],
    );
  });

  it('a passage is found on its page, without the headings that stand above it', async () => {
    const text = await read('report.pdf');
    const passage = (startLine: number, own: string) => ({
      text: `# Harbor\n## Limits\n${own}`,
      startLine,
      endLine: startLine,
    });
    const port = 'It listens on port 8080 by default.';
    const [first, second] = [1, 2].map((page) => passageLines(text, passage(page, port)));
    assert.deepEqual(shown(text, first!), [port]);
    assert.deepEqual(shown(text, second!), [port]);
    assert.ok(second!.first > first!.last);
    const two = passageLines(text, passage(2, `every call after 157 seconds.\n${port}`));
    assert.deepEqual(shown(text, two), ['A timeout ends every call after 157 seconds.', '', port]);
  });

  it('shows the page where the words are not found', async () => {
    const text = await read('report.pdf');
    const lines = shown(
      text,
      passageLines(text, { text: 'Other words altogether.', startLine: 2, endLine: 2 }),
    );
    assert.equal(lines[0], '――― Page 2 ―――');
    assert.ok(lines.includes('A timeout ends every call after 157 seconds.'));
    assert.ok(!lines.join().includes('kinds of ships'));
  });

  it('a Word document is its paragraphs', async () => {
    const text = await read('plan.docx');
    const lines = shown(
      text,
      passageLines(text, { text: '# Plan\nThen we build.', startLine: 3, endLine: 3 }),
    );
    assert.deepEqual(lines, ['Then we build.']);
    assert.doesNotMatch(text.text, /Page/);
  });

  it('of what is damaged or no such document it is said', async () => {
    await assert.rejects(
      read('broken.pdf'),
      (error) => error instanceof UserError && /broken\.pdf is not a readable PDF/.test(error.message),
    );
    await assert.rejects(
      read('notes.md'),
      (error) => error instanceof UserError && /is no PDF and no Word document/.test(error.message),
    );
    assert.equal(isBinaryDocument('a/B.PDF'), true);
    assert.equal(isBinaryDocument('a.pdf.md'), false);
  });

  it('places are named as what they are', () => {
    const text = '';
    assert.equal(placeOf({ text, path: 'a.md', startLine: 3, endLine: 5 }), 'a.md:3–5');
    assert.equal(placeOf({ text, path: 'a.pdf', startLine: 3 }), 'a.pdf, page 3');
    assert.equal(placeOf({ text, path: 'a.pdf', startLine: 3, endLine: 4 }), 'a.pdf, pages 3–4');
    assert.equal(placeOf({ text, path: 'a.docx', startLine: 3, endLine: 3 }), 'a.docx, paragraph 3');
    assert.equal(placeOf({ text }), '');
  });
});
