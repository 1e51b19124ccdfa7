/** From blocks to passages. */
import { append, type Block, type ParsedDocument } from '../documents/blocks.ts';
import { joinBlocks, splitBlock } from './splitBlock.ts';
import { sizeInWords } from './words.ts';

export interface Chunk {
  text: string;
  /** From 1, both included. */
  startLine: number;
  endLine: number;
  /** The title path: the document's title and the headings above the text, outermost first. */
  headings: string[];
  /** How many lines at the start of `text` are the section's own heading. */
  headingLines: number;
}

export interface ChunkSettings {
  /** Words a chunk should have; 100 as in the Wikipedia passages of the papers. */
  chunkWords: number;
}

/** Characters of a heading that its section's passages repeat. */
const longestTitle = 300;

/**
 * Cuts a document in passages. A chunk never crosses a heading and starts with its section's heading line if it is
 * the section's first. Blocks are kept whole where they fit: paragraphs up to 1.5 times the target, code, tables and
 * list items up to twice. A short lead-in stays with what follows, a short rest joins the chunk before it.
 * The same document gives the same chunks.
 */
export function chunkDocument(document: ParsedDocument, settings: ChunkSettings): Chunk[] {
  const chunks: Chunk[] = [];
  const hasTopHeading = document.blocks.some((block) => block.kind === 'heading' && block.level === 1);
  const root = document.title !== undefined && !hasTopHeading ? [document.title] : [];
  let path: Block[] = [];
  let section: Block[] = [];
  let heading: Block | undefined;
  const close = () => {
    const headings = [...root, ...path.map((block) => block.title ?? '')]
      .filter((title) => title !== '')
      .map((title) => (title.length > longestTitle ? `${title.slice(0, longestTitle)}…` : title));
    append(chunks, chunkSection(section, heading, headings, settings.chunkWords));
    section = [];
  };
  for (const block of document.blocks) {
    if (block.kind === 'heading') {
      close();
      path = [...path.filter((above) => above.level! < block.level!), block];
      heading = block;
    } else {
      section.push(block);
    }
  }
  close();
  if (chunks.length > 0) return chunks;
  // A document of headings alone is at least found by them.
  const headings = document.blocks.filter((block) => block.kind === 'heading');
  return chunkSection(headings, undefined, root, settings.chunkWords);
}

function chunkSection(
  blocks: readonly Block[],
  heading: Block | undefined,
  headings: string[],
  target: number,
): Chunk[] {
  const pieces = blocks.flatMap((block) =>
    splitBlock(block, target, target * (block.kind === 'paragraph' || block.kind === 'metadata' ? 1.5 : 2)),
  );
  const groups: { block: Block; size: number }[] = [];
  for (const piece of pieces) {
    if (piece.text.trim() === '') continue;
    const size = sizeInWords(piece.text);
    const last = groups.at(-1);
    if (last && (last.size + size <= target * 1.25 || (last.size < target / 4 && size <= target * 2))) {
      last.block = joinBlocks(last.block, piece);
      last.size += size;
    } else {
      groups.push({ block: piece, size });
    }
  }
  const rest = groups.at(-1);
  const before = groups.at(-2);
  if (rest && before && rest.size < target / 4 && before.size + rest.size <= target * 1.5) {
    before.block = joinBlocks(before.block, rest.block);
    groups.pop();
  }
  return groups.map(({ block }, index) => {
    // A heading as long as a text would make a passage as long as a document.
    const isShort = heading !== undefined && sizeInWords(heading.text) <= target;
    const whole = index === 0 && isShort ? joinBlocks(heading, block) : block;
    return {
      text: whole.text,
      startLine: whole.lines[0]!,
      endLine: whole.lines.at(-1)!,
      headings,
      headingLines: whole === block ? 0 : heading!.lines.length,
    };
  });
}
