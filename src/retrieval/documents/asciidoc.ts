/** AsciiDoc. */
import { append, blockOfLines, type Block, type BlockKind, type ParsedDocument } from './blocks.ts';
import { paragraphBlocks } from './plainText.ts';

/** What stands between two equal delimiter lines; null: nothing a reader sees. */
const delimited: readonly (readonly [RegExp, BlockKind | null])[] = [
  [/^-{4,}$/, 'code'],
  [/^\.{4,}$/, 'code'],
  [/^```/, 'code'],
  [/^\|={3,}$/, 'table'],
  [/^\/{4,}$/, null],
];

/** Blocks of an AsciiDoc file: sections, listings, tables, paragraphs and list items; comments are left out. */
export function parseAsciidoc(text: string): ParsedDocument {
  const fileLines = text.split('\n');
  const blocks: Block[] = [];
  let start = 1; // of the lines that are not yet in a block
  const closeBefore = (line: number) => {
    append(blocks, paragraphBlocks(fileLines, start, line - 1).flatMap(withoutAttributes));
    start = line;
  };
  for (let line = 1; line <= fileLines.length; line++) {
    const content = fileLines[line - 1]!.trimEnd();
    const heading = /^(={1,6})\s+(\S.*)$/.exec(content);
    if (heading) {
      closeBefore(line);
      const block = blockOfLines('heading', fileLines, line, line);
      blocks.push({ ...block, level: heading[1]!.length, title: heading[2]! });
      start = line + 1;
      continue;
    }
    const delimiter = delimited.find(([pattern]) => pattern.test(content));
    if (!delimiter) continue;
    closeBefore(line);
    const closing = content.startsWith('```') ? '```' : content;
    let last = line + 1;
    while (last < fileLines.length && fileLines[last - 1]!.trimEnd() !== closing) last++;
    if (delimiter[1] !== null) blocks.push(blockOfLines(delimiter[1], fileLines, line, last));
    line = last;
    start = last + 1;
  }
  closeBefore(fileLines.length + 1);
  return { blocks };
}

/** Drops lines that set attributes (`:name: value`), mark the next block (`[source]`) or comment (`//`). */
function withoutAttributes(block: Block): Block[] {
  const texts = block.text.split('\n');
  const kept = texts
    .map((text, index) => ({ text, line: block.lines[index]! }))
    .filter(
      ({ text }) => !/^(?::[\w!-]+:.*|\[[^\]]*\]\s*|\/\/(?!\/).*|={4,}|\*{4,}|_{4,}|--|\+)$/.test(text),
    );
  if (kept.length === texts.length) return [block];
  if (kept.length === 0) return [];
  return [{ ...block, text: kept.map(({ text }) => text).join('\n'), lines: kept.map(({ line }) => line) }];
}
