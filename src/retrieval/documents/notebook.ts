/** Jupyter notebooks of all formats since 2. */
import { findNodeAtLocation, parseTree, type Node, type ParseError } from 'jsonc-parser';
import { lineCounter, type Block, type ParsedDocument } from './blocks.ts';
import { parseMarkdown } from './markdown.ts';
import { DocumentProblem } from './problem.ts';

/**
 * Blocks of a Jupyter notebook: its Markdown and code cells in order, outputs left out. Lines are those of the
 * .ipynb file, where notebooks keep one line of a cell per line. Of a damaged file the cells before the damage are
 * taken.
 * @throws DocumentProblem if the text is not a notebook
 */
export function parseNotebook(text: string): ParsedDocument {
  if (text.trim() === '') return { blocks: [], isEmpty: true };
  const errors: ParseError[] = [];
  const json = withoutNonNumbers(text);
  const root = parseTree(json, errors);
  const sheets = root && findNodeAtLocation(root, ['worksheets']);
  const lists = [root, ...(sheets?.type === 'array' ? (sheets.children ?? []) : [])]
    .map((holder) => (holder?.type === 'object' ? findNodeAtLocation(holder, ['cells']) : undefined))
    .filter((cells) => cells?.type === 'array');
  const cells = lists.flatMap((list) => list?.children ?? []);
  if (lists.length === 0 || (errors.length > 0 && cells.length === 0)) {
    throw new DocumentProblem('damaged', 'is not a notebook (JSON with "cells")');
  }
  const lineOf = lineCounter(text);
  const blocks = cells.flatMap((cell) => (cell.type === 'object' ? cellBlocks(cell, lineOf) : []));
  return {
    blocks,
    isEmpty: blocks.length === 0 && errors.length === 0,
    ...(errors.length > 0 && { unreadable: [`its JSON is damaged in line ${lineOf(errors[0]!.offset)}`] }),
  };
}

/** Python writes NaN and Infinity, which JSON does not have: 0 in their place, everything else where it stood. */
function withoutNonNumbers(text: string): string {
  if (!/[:[,]\s*-?(?:NaN|Infinity)\b/.test(text)) return text;
  const parts: string[] = [];
  for (let start = 0; start < text.length;) {
    const quote = text.indexOf('"', start);
    const outside = text.slice(start, quote === -1 ? text.length : quote);
    parts.push(outside.replace(/-?\b(?:NaN|Infinity)\b/g, (word) => '0'.padEnd(word.length)));
    if (quote === -1) break;
    start = endOfJsonString(text, quote);
    parts.push(text.slice(quote, start));
  }
  return parts.join('');
}

function endOfJsonString(text: string, quote: number): number {
  for (let at = text.indexOf('"', quote + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (text[at - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return at + 1;
  }
  return text.length;
}

function cellBlocks(cell: Node, lineOf: (offset: number) => number): Block[] {
  const type: unknown = findNodeAtLocation(cell, ['cell_type'])?.value;
  // Formats 2 and 3 have `input` for code.
  const source = findNodeAtLocation(cell, ['source']) ?? findNodeAtLocation(cell, ['input']);
  const strings = source?.type === 'array' ? (source.children ?? []) : source ? [source] : [];
  let content = '';
  const lines: number[] = [];
  for (const node of strings) {
    if (typeof node.value !== 'string') continue;
    // A string that holds several lines stands on one line of the file.
    const count = node.value.split('\n').length - (node.value.endsWith('\n') ? 1 : 0);
    const line = lineOf(node.offset);
    for (let index = 0; index < count; index++) lines.push(line);
    content += node.value;
  }
  if (content.trim() === '') return [];
  lines.push(lines.at(-1)!); // for a line break at the end
  if (type === 'code') {
    const code = content.trimEnd();
    return [{ kind: 'code', text: code, lines: lines.slice(0, code.split('\n').length) }];
  }
  if (type === 'heading') {
    const level = Math.min(6, Math.max(1, Number(findNodeAtLocation(cell, ['level'])?.value) || 1));
    const title = content.replace(/\s+/g, ' ').trim();
    return [{ kind: 'heading', text: title, lines: [lines[0]!], level, title }];
  }
  return type === 'markdown' ? parseMarkdown(content).blocks.map((block) => atLines(block, lines)) : [];
}

/** A block of a cell with the lines of the file instead of the lines of the cell. */
function atLines(block: Block, lines: readonly number[]): Block {
  const moved: Block = { ...block, lines: block.lines.map((line) => lines[line - 1]!) };
  if (block.children) moved.children = block.children.map((child) => atLines(child, lines));
  return moved;
}
