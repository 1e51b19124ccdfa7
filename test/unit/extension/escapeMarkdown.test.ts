import assert from 'node:assert/strict';
import { fromMarkdown } from 'mdast-util-from-markdown';
import { toString } from 'mdast-util-to-string';
import { describe, it } from 'mocha';
import { escapeMarkdown } from '../../../src/extension/chat/escapeMarkdown.ts';

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
