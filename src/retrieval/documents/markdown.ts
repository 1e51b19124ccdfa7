import type { List, Nodes, RootContent } from 'mdast';
import { fromMarkdown } from 'mdast-util-from-markdown';
import { frontmatterFromMarkdown } from 'mdast-util-frontmatter';
import { gfmTableFromMarkdown } from 'mdast-util-gfm-table';
import { toString } from 'mdast-util-to-string';
import { frontmatter } from 'micromark-extension-frontmatter';
import { gfmTable } from 'micromark-extension-gfm-table';
import { blockOfLines, type Block, type ParsedDocument } from './blocks.ts';

/**
 * Only the block structure is needed, so the inline constructs are switched off: chunks keep the text as it is
 * written, and parsing is several times faster. Headings get their own inline parse for a clean title.
 */
const blocksOnly = {
  disable: {
    null: [
      'attention',
      'autolink',
      'characterEscape',
      'characterReference',
      'codeText',
      'hardBreakEscape',
      'htmlText',
      'labelEnd',
      'labelStartImage',
      'labelStartLink',
    ],
  },
};

/** The parser's time and memory grow faster than its input (some 200 MB for a megabyte), so it gets pieces. */
const pieceCharacters = 16_384;

/** Blocks of a Markdown text (CommonMark, tables of GitHub, front matter). `text` has '\n' line ends. */
export function parseMarkdown(text: string): ParsedDocument {
  const fileLines = text.split('\n');
  let title: string | undefined;
  const blocks: Block[] = [];
  for (const [first, last] of pieces(fileLines)) {
    const pieceLines = fileLines.slice(first - 1, last);
    const tree = fromMarkdown(pieceLines.join('\n'), {
      extensions: [gfmTable(), blocksOnly, ...(first === 1 ? [frontmatter(['yaml', 'toml'])] : [])],
      mdastExtensions: [gfmTableFromMarkdown(), frontmatterFromMarkdown(['yaml', 'toml'])],
    });
    for (const node of tree.children) {
      if (node.type === 'yaml' || (node as { type: string }).type === 'toml') {
        title = frontMatterTitle((node as { value: string }).value);
        blocks.push(lineBlock('metadata', node, pieceLines));
      } else {
        blocks.push(...blocksOf(node, pieceLines).map((block) => shifted(block, first - 1)));
      }
    }
  }
  return { title, blocks };
}

/**
 * Line ranges of which each is a Markdown text by itself: cut outside fenced code, before a heading or a paragraph
 * that follows a blank line and is not indented (so it continues no list).
 */
function pieces(fileLines: readonly string[]): [first: number, last: number][] {
  const ranges: [number, number][] = [];
  let first = 1;
  let size = 0;
  let fence: string | undefined;
  fileLines.forEach((content, index) => {
    const marker = /^\s*(?:[-*+>]\s+|\d+[.)]\s+)*(`{3,}|~{3,})/.exec(content)?.[1];
    if (marker && !fence) fence = marker;
    else if (fence && content.trim().startsWith(fence) && /^[\s>]*[`~]+\s*$/.test(content)) fence = undefined;
    const mayCut =
      !fence && (/^#{1,6}\s/.test(content) || (/^\p{L}/u.test(content) && fileLines[index - 1] === ''));
    if (size >= pieceCharacters && mayCut) {
      ranges.push([first, index]);
      first = index + 1;
      size = 0;
    }
    size += content.length + 1;
  });
  ranges.push([first, fileLines.length]);
  return ranges;
}

function shifted(block: Block, by: number): Block {
  if (by === 0) return block;
  const moved: Block = { ...block, lines: block.lines.map((line) => line + by) };
  if (block.children) moved.children = block.children.map((child) => shifted(child, by));
  return moved;
}

function blocksOf(node: RootContent, fileLines: readonly string[]): Block[] {
  switch (node.type) {
    case 'heading':
      return [headingBlock(node, node.depth, fileLines)];
    case 'code':
      return [lineBlock('code', node, fileLines)];
    case 'list':
      return listBlocks(node, fileLines);
    case 'blockquote': {
      const block = lineBlock('paragraph', node, fileLines);
      block.children = withoutHeadings(node.children.flatMap((child) => blocksOf(child, fileLines)));
      return [block];
    }
    case 'table': {
      const block = lineBlock('table', node, fileLines);
      block.children = node.children.map((row) => lineBlock('table', row, fileLines));
      // The delimiter row has no node of its own; it stays with the header row.
      const header = block.children[0];
      if (header && block.lines.length > 1) {
        block.children[0] = blockOfLines('table', fileLines, header.lines[0]!, header.lines[0]! + 1);
      }
      return [block];
    }
    case 'html':
      return /^\s*<!--[^]*-->\s*$/.test(node.value) ? [] : [lineBlock('paragraph', node, fileLines)];
    case 'thematicBreak':
    case 'definition':
      return [];
    default:
      return [lineBlock('paragraph', node, fileLines)];
  }
}

function listBlocks(list: List, fileLines: readonly string[]): Block[] {
  return list.children.map((item) => {
    const block = lineBlock('listItem', item, fileLines);
    if (item.children.length > 1) {
      block.children = withoutHeadings(item.children.flatMap((child) => blocksOf(child, fileLines)));
    }
    return block;
  });
}

/** A heading inside a quote or a list item does not start a section of the document. */
function withoutHeadings(blocks: Block[]): Block[] {
  return blocks.map((block) => (block.kind === 'heading' ? { ...block, kind: 'paragraph' } : block));
}

function headingBlock(node: Nodes, level: number, fileLines: readonly string[]): Block {
  const block = lineBlock('heading', node, fileLines);
  block.level = level;
  block.title = toString(fromMarkdown(block.text)).replace(/\s+/g, ' ').trim();
  return block;
}

function lineBlock(kind: Block['kind'], node: Nodes, fileLines: readonly string[]): Block {
  const { start, end } = node.position!;
  // A node may end at column 1 of the line after it (an unclosed fence, for one).
  const last = end.column === 1 && end.line > start.line ? end.line - 1 : end.line;
  return blockOfLines(kind, fileLines, start.line, last);
}

function frontMatterTitle(value: string): string | undefined {
  return /^title\s*[:=]\s*(['"]?)(.+?)\1\s*$/m.exec(value)?.[2];
}
