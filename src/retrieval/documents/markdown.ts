/** Markdown: CommonMark, tables of GitHub, front matter. */
import type { Html, List, Nodes, RootContent } from 'mdast';
import { fromMarkdown } from 'mdast-util-from-markdown';
import { frontmatterFromMarkdown } from 'mdast-util-frontmatter';
import { gfmTableFromMarkdown } from 'mdast-util-gfm-table';
import { toString } from 'mdast-util-to-string';
import { frontmatter } from 'micromark-extension-frontmatter';
import { gfmTable } from 'micromark-extension-gfm-table';
import { append, blockOfLines, shifted, type Block, type ParsedDocument } from './blocks.ts';
import { parseHtml } from './html.ts';
import { markdownPieces } from './markdownPieces.ts';
import { paragraphBlocks } from './plainText.ts';

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

/** Blocks of a Markdown text (CommonMark, tables of GitHub, front matter). `text` has '\n' line ends. */
export function parseMarkdown(text: string): ParsedDocument {
  const fileLines = text.split('\n');
  let title: string | undefined;
  const blocks: Block[] = [];
  for (const { kind, first, last } of markdownPieces(fileLines)) {
    const pieceLines = fileLines.slice(first - 1, last);
    if (kind === 'table') blocks.push(tableBlock(fileLines, first, last));
    else if (kind === 'plain') append(blocks, paragraphBlocks(fileLines, first, last));
    if (kind !== 'markdown') continue;
    const tree = fromMarkdown(pieceLines.join('\n'), {
      extensions: [gfmTable(), blocksOnly, ...(first === 1 ? [frontmatter(['yaml', 'toml'])] : [])],
      mdastExtensions: [gfmTableFromMarkdown(), frontmatterFromMarkdown(['yaml', 'toml'])],
    });
    const children = withHtmlHeadings(tree.children);
    for (const node of children) {
      if (node.type === 'yaml' || (node as { type: string }).type === 'toml') {
        title = frontMatterTitle((node as { value: string }).value);
        blocks.push(lineBlock('metadata', node, pieceLines));
      } else {
        append(
          blocks,
          blocksOf(node, pieceLines).map((block) => shifted(block, first - 1)),
        );
      }
    }
  }
  return { title, blocks };
}

/** A long table: its rows, the line under the head with the head. */
function tableBlock(fileLines: readonly string[], first: number, last: number): Block {
  const block = blockOfLines('table', fileLines, first, last);
  block.children = [blockOfLines('table', fileLines, first, first + 1)];
  for (let line = first + 2; line <= last; line++) {
    block.children.push(blockOfLines('table', fileLines, line, line));
  }
  return block;
}

const opensHeading = /^\s*<h([1-6])(?:\s[^<>]*)?>[^]*$/i;
const closesHeading = /<\/h[1-6]\s*>\s*$/i;

/** `<h1>`, blank line, title, blank line, `</h1>`: Markdown inside an HTML heading is a heading. */
function withHtmlHeadings(nodes: readonly RootContent[]): RootContent[] {
  const result: RootContent[] = [];
  for (let index = 0; index < nodes.length; index++) {
    const [open, title, close] = nodes.slice(index, index + 3);
    const depth =
      open?.type === 'html' && !/<\/h/i.test(open.value) ? opensHeading.exec(open.value)?.[1] : undefined;
    if (
      depth !== undefined &&
      title?.type === 'paragraph' &&
      close?.type === 'html' &&
      closesHeading.test(close.value)
    ) {
      result.push({ ...title, type: 'heading', depth: Number(depth) as 1 });
      index += 2;
    } else {
      result.push(nodes[index]!);
    }
  }
  return result;
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
      return htmlBlocks(node, fileLines);
    case 'thematicBreak':
    case 'definition':
      return [];
    default:
      return [lineBlock('paragraph', node, fileLines)];
  }
}

/** Comments are left out. Where the HTML has headings, its text is taken as that of a page; else it stays as it is. */
function htmlBlocks(node: Html, fileLines: readonly string[]): Block[] {
  const block = lineBlock('paragraph', node, fileLines);
  if (/<h[1-6][\s>]/i.test(node.value)) {
    return parseHtml(block.text).blocks.map((part) => shifted(part, block.lines[0]! - 1));
  }
  if (!block.text.includes('<!--')) return [block];
  const isSeen = seenLines(block.text);
  const seen = block.lines.filter((_, index) => isSeen[index]);
  const [first, last] = [seen[0], seen.at(-1)];
  if (first === undefined || last === undefined) return [];
  if (seen.length === last - first + 1) return [blockOfLines('paragraph', fileLines, first, last)];
  return [{ kind: 'paragraph', text: seen.map((line) => fileLines[line - 1]!).join('\n'), lines: seen }];
}

/** For each line whether something of it stands outside comments. */
function seenLines(text: string): boolean[] {
  let inComment = false;
  return text.split('\n').map((line) => {
    let isSeen = false;
    for (let at = 0; at < line.length;) {
      const next = line.indexOf(inComment ? '-->' : '<!--', at);
      if (!inComment && line.slice(at, next === -1 ? undefined : next).trim() !== '') isSeen = true;
      if (next === -1) break;
      at = next + (inComment ? 3 : 4);
      inComment = !inComment;
    }
    return isSeen;
  });
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
  block.title = titleOf(block.text).replace(/\s+/g, ' ').trim();
  return block;
}

/** A heading without its markup. Most have none inside, and need no parser. */
function titleOf(heading: string): string {
  const plain = /^ {0,3}#{1,6}[ \t]+([\p{L}\p{N} ,.:;?'"()/-]*?)[ \t]*$/u.exec(heading)?.[1];
  return plain ?? toString(fromMarkdown(heading));
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
