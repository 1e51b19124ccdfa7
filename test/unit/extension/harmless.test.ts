import assert from 'node:assert/strict';
import { fromMarkdown } from 'mdast-util-from-markdown';
import { toString } from 'mdast-util-to-string';
import { describe, it } from 'mocha';
import { escapeMarkdown, logText, plain } from '../../../src/extension/harmless.ts';

describe('text in the chat', () => {
  const hostile =
    '# Title [8080](command:workbench.action.quit) <img src=x onerror=alert(1)> **bold** `code` https://example.invalid www.example.invalid a@example.invalid &amp; 1. ![x](y) ~~no~~ $(zap) |a|b|';

  it('is shown as it stands, whatever it holds', () => {
    const tree = fromMarkdown(escapeMarkdown(hostile));
    assert.equal(toString(tree), hostile);
    assert.deepEqual(
      tree.children.map(({ type }) => type),
      ['paragraph'],
    );
    assert.deepEqual([...new Set(JSON.stringify(tree).match(/"type":"\w+"/g))].sort(), [
      '"type":"paragraph"',
      '"type":"root"',
      '"type":"text"',
    ]);
  });

  it('may be escaped piece by piece, as it is streamed', () => {
    const pieces = hostile.match(/.{1,3}/g)!;
    assert.equal(pieces.map(escapeMarkdown).join(''), escapeMarkdown(hostile));
  });

  it('has no bare address that a Markdown view would make a link of', () => {
    assert.doesNotMatch(escapeMarkdown(hostile), /https?:\/\/|www\.|\w@\w/);
  });

  it('keeps its lines, and spaces at which it can wrap', () => {
    assert.equal(escapeMarkdown('one two\nthree'), 'one two  \nthree');
  });
});

/** The pattern by which VS Code finds links in notifications and in the texts of pickers (linkedText.ts). */
const linkedText = /\[([^\]]+)\]\(((?:https?:\/\/|command:|file:)[^)\s]+)(?: (["'])(.+?)(\3))?\)/i;
/** The pattern by which it finds icons in labels (iconLabels.ts). */
const icon = /(\\)?\$\(([A-Za-z0-9-]+(?:~[A-Za-z]+)?)\)/;
/** The characters of a name or message as they are seen. */
const seen = (text: string): string => text.replaceAll('\u2060', '');

describe('text in notifications, pickers, rows and the status bar', () => {
  const hostile = [
    'X] … [Repair this model](command:workbench.action.terminal.sendSequence?%7B%7D)',
    '[a](https://example.invalid "b")',
    '[[a](command:x)](command:y)',
    '[open](file:///etc/passwd)',
    '$(zap) model $(loading~spin)',
    '$$(zap)(command:a)](command:b)',
  ];

  it('is no link and no icon, and looks the same', () => {
    for (const text of hostile) {
      assert.doesNotMatch(plain(text), linkedText);
      assert.doesNotMatch(plain(text), icon);
      assert.equal(seen(plain(text)), text);
      // Not by being shown twice either.
      assert.doesNotMatch(plain(plain(text)), linkedText);
    }
  });

  it('shows control characters and does not turn around', () => {
    assert.equal(
      plain('a\x1b[31mb\u202ecod.exe\u0000\r\u009b1m'),
      'a\\x1b[31mb\\u202ecod.exe\\x00\\x0d\\x9b1m',
    );
    assert.equal(plain('two\nlines\tÄ漢'), 'two\nlines\tÄ漢');
    assert.equal(plain('x'.repeat(10_000)).length, 4001);
  });
});

describe('text in the log', () => {
  it('has no address to click and cannot pretend to be another entry', () => {
    const text = 'model https://example.invalid/x vscode://a.b/c\n2026-01-01 00:00:00.000 [error] forged';
    assert.doesNotMatch(logText(text), /[a-z]:\/\//);
    assert.equal(seen(logText(text)), text.replace('\n', '\n  '));
  });
});
