import assert from 'node:assert/strict';
import iconv from 'iconv-lite';
import { chunkDocument } from '../../../src/retrieval/chunks/chunkDocument.ts';
import { formatOf, parseDocument } from '../../../src/retrieval/documents/formats.ts';
import { makeDocxOf, makePdf, makePdfOfCodes } from './documentFiles.ts';

/** The passages of a file, and what is said to be missing. */
async function read(name: string, content: string | Uint8Array) {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  const document = await parseDocument(formatOf(name, true)!, name, bytes);
  const chunks = chunkDocument(document, { chunkWords: 100 });
  return {
    text: chunks.map(({ text }) => text).join('\n'),
    headings: chunks.map(({ headings }) => headings.join(' > ')),
    unreadable: document.unreadable ?? [],
    isEmpty: document.isEmpty ?? false,
  };
}

describe('reading HTML', () => {
  it('goes on behind elements that close themselves', async () => {
    for (const element of ['<script src="a.js"/>', '<title/>', '<style/>', '<iframe src="x"/>']) {
      const page = `<?xml version="1.0"?><html><head>${element}</head><body><p>The otter rests.</p></body></html>`;
      assert.equal((await read('a.xhtml', page)).text, 'The otter rests.', element);
    }
    const textarea = '<html><body><textarea name="x"/><p>The heron waits.</p></body></html>';
    assert.equal((await read('a.xhtml', textarea)).text, 'The heron waits.');
  });

  it('ends a head that is not closed where the text begins, and takes the text of forms', async () => {
    assert.equal((await read('a.html', '<head><title>T</title><p>Body text.')).text, 'Body text.');
    const form = '<body><form action="x"><p>All of this old page stands in a form.</p></form></body>';
    assert.equal((await read('a.html', form)).text, 'All of this old page stands in a form.');
  });

  it('keeps the words of a cell apart', async () => {
    const cells =
      '<table><tr><td><p>Boiler room</p><p>Key Otto</p></td><td><ul><li>east<li>west</ul></td></tr></table>';
    assert.equal((await read('a.html', cells)).text, 'Boiler room Key Otto | east west');
    const inner =
      '<table><tr><td>outer<table><tr><td>inner</td><td>two</td></tr></table>after</td></tr></table>';
    assert.equal((await read('a.html', inner)).text, 'outer | inner | two after');
    const lines = '<pre><div>first();</div><div>second();</div></pre>';
    assert.equal((await read('a.html', lines)).text, 'first();\nsecond();');
  });

  it('of Word documents does so, too', async () => {
    const cell = (...texts: string[]) =>
      `<w:tc>${texts.map((text) => `<w:p><w:r><w:t>${text}</w:t></w:r></w:p>`).join('')}</w:tc>`;
    const table = `<w:tbl><w:tr>${cell('Steam valve', 'Checked by Rossi')}${cell('seal', 'nut')}</w:tr></w:tbl><w:p/>`;
    assert.match(
      (await read('a.docx', await makeDocxOf(table))).text,
      /Steam valve Checked by Rossi \| seal nut/,
    );
  });

  it('uses the encoding that the page declares', async () => {
    const page = (declaration: string, text: string) =>
      `<html><head>${declaration}</head><body><p>${text}</p></body></html>`;
    for (const [encoding, text] of [
      ['iso-8859-2', 'Łódź śpi.'],
      ['windows-1251', 'Маяк.'],
      ['windows-1254', 'Kışın ağaç.'],
      ['windows-1253', 'Ο φάρος.'],
      ['koi8-r', 'Ёж.'],
      ['euc-kr', '등대.'],
      ['big5', '燈塔。'],
    ] as const) {
      for (const declaration of [
        `<meta charset="${encoding}">`,
        `<meta http-equiv="Content-Type" content="text/html; charset=${encoding}">`,
      ]) {
        const bytes = iconv.encode(page(declaration, text), encoding);
        assert.equal((await read('a.html', bytes)).text, text, declaration);
      }
    }
    const xml = iconv.encode(
      `<?xml version="1.0" encoding="iso-8859-2"?>${page('', 'Źrebię.')}`,
      'iso-8859-2',
    );
    assert.equal((await read('a.xhtml', xml)).text, 'Źrebię.');
    // What is UTF-8 beyond doubt is, whatever it says; and a declaration in letters of one byte is not UTF-16.
    const long =
      'Größe, Länge, Höhe, Dörfer, Brücken, Straßen, Flüsse, Gärten, Türen, Äcker, Öfen, Bäume, Füße, Köche, Nüsse';
    assert.equal((await read('a.html', page('<meta charset="iso-8859-1">', long))).text, long);
    assert.equal((await read('a.html', page('<meta charset="utf-16">', 'Größe'))).text, 'Größe');
  });
});

describe('encodings', () => {
  const ascii = 'A line of plain letters.\n'.repeat(4000);
  it('are judged by the letters that tell, wherever they stand', async () => {
    const chinese = '海豚研究站设在北边的小岛上，每天有两班船。值班员在灯塔里记录风速和水温。'.repeat(3);
    assert.ok((await read('a.txt', iconv.encode(ascii + chinese, 'gbk'))).text.includes('海豚研究站'));
    const russian = 'Смотритель маяка записывает скорость ветра каждое утро.'.repeat(3);
    assert.ok(
      (await read('a.txt', iconv.encode(ascii + russian, 'windows-1251'))).text.includes('Смотритель маяка'),
    );
  });
  it('stay UTF-8 with a few bad bytes', async () => {
    const bytes = Buffer.concat([
      Buffer.from(`${ascii}Le phare de l’Écluse s’éteint.`),
      Buffer.from([0xff, 0xc3]),
    ]);
    assert.ok((await read('a.txt', bytes)).text.includes('Le phare de l’Écluse s’éteint.'));
  });
  it('are UTF-16 and UTF-32 also for text without Latin letters, with and without a mark', async () => {
    const text = 'Смотритель маяка\nпишет письмо другу, который живёт далеко.\n';
    for (const encoding of ['utf-16le', 'utf-16be', 'utf-32le', 'utf-32be']) {
      for (const addBOM of [true, false]) {
        const bytes = iconv.encode(text.padEnd(64), encoding, { addBOM });
        assert.equal((await read('a.txt', bytes)).text, text.trimEnd(), `${encoding} ${addBOM}`);
      }
    }
  });
  it('are those that a source file names', async () => {
    const python =
      '# -*- coding: iso-8859-2 -*-\n# Źródło światła: latarnia stoi na skale nad morzem.\nx = 1\n';
    assert.match((await read('a.py', iconv.encode(python, 'iso-8859-2'))).text, /Źródło światła/);
  });
});

describe('reading notebooks', () => {
  const cell = (source: string) => ({ cell_type: 'markdown', metadata: {}, source: [source] });
  it('takes the numbers that Python writes and JSON does not have', async () => {
    const withOutput = (output: string) =>
      `{"cells": [${JSON.stringify(cell('Seals: NaN, "Infinity".'))}, {"cell_type": "code", "outputs": [{"data": {"y": ${output}}}], "source": ["x"]}], "nbformat": 4}`;
    for (const output of ['[1.5, NaN]', 'NaN', '[-Infinity,Infinity,NaN]', '{"a":-Infinity}']) {
      const { text, unreadable } = await read('a.ipynb', withOutput(output));
      assert.equal(text, 'Seals: NaN, "Infinity".\nx', output);
      assert.deepEqual(unreadable, []);
    }
  });
  it('reads the sheets of formats 2 and 3', async () => {
    const cells = [
      { cell_type: 'heading', level: 2, source: ['Compass'] },
      { cell_type: 'markdown', source: 'It points north.' },
      { cell_type: 'code', input: ['turn(90)\n', 'stop()'] },
    ];
    const { text, headings } = await read(
      'a.ipynb',
      JSON.stringify({ nbformat: 3, worksheets: [{ cells }, { cells: [cell('Second sheet.')] }] }),
    );
    assert.equal(text, 'Compass\nIt points north.\nturn(90)\nstop()\nSecond sheet.');
    assert.deepEqual(headings, ['Compass']);
  });
  it('takes an empty file for an empty notebook', async () => {
    assert.deepEqual(await read('a.ipynb', ' \n'), { text: '', headings: [], unreadable: [], isEmpty: true });
    assert.equal((await read('a.ipynb', '{"cells": [], "nbformat": 4}')).isEmpty, true);
  });
  it('takes the cells before the damage and says where it is', async () => {
    const cut = JSON.stringify({ cells: [cell('The first cell.'), cell('The second')] }, null, 1).slice(
      0,
      -40,
    );
    const { text, unreadable } = await read('a.ipynb', cut);
    assert.match(text, /The first cell\./);
    assert.match(unreadable.join(), /damaged in line \d+/);
  });
});

describe('reading PDF', () => {
  const page = (text: string) => [{ text, size: 12, y: 700 }];
  const three = Buffer.from(
    makePdf([page('First about the newt.'), page('Second.'), page('Third about the toad.')]),
  );
  const damagedAt = (found: string, by: string) => {
    const text = three.toString('latin1');
    assert.ok(text.includes(found));
    return Buffer.from(text.replace(found, by.padEnd(found.length)), 'latin1');
  };
  it('leaves out damaged pages and names them', async () => {
    const damages: [string, string][] = [
      ['7 0 obj\n<< /Type /Page ', '7 0 obj\nnull\nendobj\n'],
      ['7 0 obj', '9 9 obj'],
    ];
    for (const [found, by] of damages) {
      const { text, unreadable } = await read('a.pdf', damagedAt(found, by));
      assert.match(text, /First about the newt\.[^]*Third about the toad\./);
      assert.deepEqual(unreadable, ['page 2 of 3 is damaged']);
    }
    const second = three.toString('latin1').split('<< /Length').join('<<  /Length');
    const notPacked = second.replace(/<< {2}\/Length(?=[^<]*\(Second)/, '<< /Filter /FlateDecode /Length');
    const { text, unreadable } = await read('a.pdf', Buffer.from(notPacked, 'latin1'));
    assert.match(text, /First about the newt\.[^]*Third about the toad\./);
    assert.deepEqual(unreadable, ['page 2 of 3 is damaged']);
  });
  it('knows the character codes of fonts that name a table alone', async () => {
    const hex = (text: string, encoding: string) => iconv.encode(text, encoding).toString('hex');
    for (const [table, ordering, text, encoding] of [
      ['90ms-RKSJ-H', 'Japan1', '港の灯台', 'shift_jis'],
      ['UniGB-UCS2-H', 'GB1', '港口灯塔', 'utf-16be'],
      ['UniKS-UCS2-H', 'Korea1', '항구의 등대', 'utf-16be'],
      ['ETen-B5-H', 'CNS1', '港口燈塔', 'big5'],
    ] as const) {
      assert.equal(
        (await read('a.pdf', makePdfOfCodes(table, ordering, hex(text, encoding)))).text,
        text,
        table,
      );
    }
  });
});

describe('reading Markdown', () => {
  it('leaves out comments of any length', async () => {
    const hidden = 'A hidden paragraph about the lynx.\n\n'.repeat(1200);
    for (const comment of [`<!--\n${hidden}-->`, `<!-- ${hidden} -->`, `<!--\n\n${hidden}`]) {
      const { text } = await read('a.md', `# Book\n\nSeen text.\n\n${comment}`);
      assert.equal(text, '# Book\n\nSeen text.', comment.slice(0, 8));
    }
    const between = `# Book\n\n<!--\n${hidden}-->\n\nSeen after.\n`;
    assert.equal((await read('a.md', between)).text, '# Book\n\nSeen after.');
    assert.equal(
      (await read('a.md', '<div>\nSeen.\n<!-- hidden\nhidden -->\n</div>\n')).text,
      '<div>\nSeen.\n</div>',
    );
    const script = `# Book\n\n<pre>\n${'\nText of the block\n'.repeat(1500)}</pre>\n\n# End\n\nLast.`;
    assert.ok((await read('a.md', script)).text.endsWith('# End\n\nLast.'));
  });
  it('takes headings written in HTML for headings', async () => {
    for (const title of [
      '<h1 align="center">\n  <img src="a.svg"><br>\n  Serval\n</h1>',
      '<div align="center"><h1>Serval</h1></div>',
      '<h1>\n\nServal\n\n</h1>',
      '<H1><a href="x"><b>Serval</b></a></H1>',
    ]) {
      const { headings } = await read(
        'a.md',
        `${title}\n\nIntro.\n\n## Install\n\nRun it.\n\n<h3>Note</h3>\n\nTwice.`,
      );
      assert.deepEqual(headings, ['Serval', 'Serval > Install', 'Serval > Install > Note'], title);
    }
  });
  it('reads a long table row by row', async () => {
    const rows = Array.from({ length: 400 }, (_, row) => `| key${row} | value of ${row} |`).join('\n');
    const { text } = await read('a.md', `Intro.\n\n| Key | Value |\n|---|---|\n${rows}\n\nOutro.`);
    assert.ok(text.startsWith('Intro.') && text.endsWith('Outro.'));
    assert.ok(text.includes('| key399 | value of 399 |'));
  });
});

describe('reading source code', () => {
  const found = async (name: string, code: string, word: string) =>
    assert.match((await read(name, code)).text, new RegExp(word), code);
  it('knows regular expressions, templates in templates and raw strings', async () => {
    const after = '\n\n// The walrus handler is removed when the window closes.\nf();\n';
    for (const code of [
      'const a = (s) => s.replace(/`/g, "x");',
      'const a = s.split(/["\'`]/);',
      'if (a) return /[/`]/.test(a);',
      'const a = `x${b ? `y` : "}"}z`;',
      'const a = b / 2; const c = `d` / 3;',
      'const a = x ? /`/ : /\\//;',
    ]) {
      await found('a.ts', code + after, 'walrus');
    }
    await found(
      'a.go',
      'var a = `\\`\n\n// The walrus handler is removed when the window closes.\n',
      'walrus',
    );
    await found(
      'a.cpp',
      "int a = 1'000; // The walrus handler is removed when the window closes.\n",
      'walrus',
    );
    await found(
      'a.java',
      'String a = """\n "x" // no\n """; // The walrus handler is removed at once.\n',
      'walrus',
    );
  });
  it('finds no comments in strings', async () => {
    const { text, isEmpty } = await read(
      'a.ts',
      'const a = "http://example.org/a/long/enough/path";\nconst b = /\\/\\/ not a comment, a long expression/;\n',
    );
    assert.deepEqual([text, isEmpty], ['', true]);
  });
});
