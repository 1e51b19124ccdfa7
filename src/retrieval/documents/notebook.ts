import { findNodeAtLocation, parseTree, type Node, type ParseError } from 'jsonc-parser';
import { UserError } from '../../protocol/errors.ts';
import type { Block, ParsedDocument } from './blocks.ts';
import { parseMarkdown } from './markdown.ts';

/**
 * Blocks of a Jupyter notebook: its Markdown and code cells in order, outputs left out. Lines are those of the
 * .ipynb file, where notebooks keep one line of a cell per line.
 * @throws UserError if the text is not a notebook
 */
export function parseNotebook(text: string): ParsedDocument {
  const errors: ParseError[] = [];
  const root = parseTree(text, errors);
  const cells = root && findNodeAtLocation(root, ['cells']);
  if (errors.length > 0 || cells?.type !== 'array')
    throw new UserError('is not a notebook (JSON with "cells")');
  const lineOf = lineCounter(text);
  return { blocks: (cells.children ?? []).flatMap((cell) => cellBlocks(cell, lineOf)) };
}

function cellBlocks(cell: Node, lineOf: (offset: number) => number): Block[] {
  const type: unknown = findNodeAtLocation(cell, ['cell_type'])?.value;
  const source = findNodeAtLocation(cell, ['source']);
  const strings = source?.type === 'array' ? (source.children ?? []) : source ? [source] : [];
  let content = '';
  const lines: number[] = [];
  for (const node of strings) {
    if (typeof node.value !== 'string') continue;
    // A string that holds several lines stands on one line of the file.
    const count = node.value.split('\n').length - (node.value.endsWith('\n') ? 1 : 0);
    for (let index = 0; index < count; index++) lines.push(lineOf(node.offset));
    content += node.value;
  }
  if (content.trim() === '') return [];
  lines.push(lines.at(-1)!); // for a line break at the end
  if (type === 'code') {
    const code = content.replace(/\s+$/, '');
    return [{ kind: 'code', text: code, lines: lines.slice(0, code.split('\n').length) }];
  }
  return type === 'markdown' ? parseMarkdown(content).blocks.map((block) => atLines(block, lines)) : [];
}

/** A block of a cell with the lines of the file instead of the lines of the cell. */
function atLines(block: Block, lines: readonly number[]): Block {
  const moved: Block = { ...block, lines: block.lines.map((line) => lines[line - 1]!) };
  if (block.children) moved.children = block.children.map((child) => atLines(child, lines));
  return moved;
}

/** Lines of increasing offsets. */
function lineCounter(text: string): (offset: number) => number {
  let line = 1;
  let at = 0;
  return (offset) => {
    for (let next = text.indexOf('\n', at); next !== -1 && next < offset; next = text.indexOf('\n', at)) {
      line++;
      at = next + 1;
    }
    return line;
  };
}
