/** reStructuredText. */
import { append, blockOfLines, trimmedBlock, type Block, type ParsedDocument } from './blocks.ts';
import { paragraphBlocks } from './plainText.ts';

const adornment = /^([!-/:-@[-`{-~])\1+\s*$/;
const directive = /^(\s*)\.\.\s+(?:\|[^|]+\|\s+)?([\w:+.-]+)::/;
const codeDirectives = new Set([
  'code',
  'code-block',
  'sourcecode',
  'literalinclude',
  'parsed-literal',
  'math',
  'highlight',
]);

/**
 * Blocks of a reStructuredText file: sections by their adornments (levels in the order of their first use), literal
 * and code blocks, paragraphs and list items. Comments, targets and substitution definitions are left out.
 */
export function parseRestructuredText(text: string): ParsedDocument {
  const fileLines = text.split('\n');
  const blocks: Block[] = [];
  const styles: string[] = [];
  let start = 1; // of the lines that are not yet in a block
  const closeBefore = (line: number) => {
    append(blocks, paragraphBlocks(fileLines, start, line - 1));
    start = line;
  };
  for (let line = 1; line <= fileLines.length; line++) {
    const section = sectionAt(fileLines, line);
    if (section) {
      closeBefore(line);
      if (!styles.includes(section.style)) styles.push(section.style);
      const block = blockOfLines('heading', fileLines, line, section.last);
      blocks.push({ ...block, level: styles.indexOf(section.style) + 1, title: section.title });
      line = section.last;
      start = line + 1;
      continue;
    }
    const content = fileLines[line - 1]!;
    const isMarked = /^\s*\.\.(?:\s|$)/.test(content);
    const isLiteral = /::\s*$/.test(content) && !isMarked;
    if (!isMarked && !isLiteral) continue;
    const last = indentedUntil(fileLines, line);
    if (last === line && isLiteral) continue;
    const name = directive.exec(content)?.[2];
    if (isLiteral) {
      // The paragraph that announces the literal block keeps its line.
      closeBefore(line + 1);
      push(blocks, trimmedBlock('code', fileLines, line + 1, last));
    } else {
      closeBefore(line);
      if (name !== undefined && codeDirectives.has(name))
        push(blocks, trimmedBlock('code', fileLines, line, last));
      else if (name !== undefined) append(blocks, paragraphBlocks(fileLines, line, last));
    }
    line = last;
    start = last + 1;
  }
  closeBefore(fileLines.length + 1);
  return { blocks };
}

function push(blocks: Block[], block: Block | undefined): void {
  if (block) blocks.push(block);
}

/** A section title whose first line (over-line or title) is `line`. */
function sectionAt(
  fileLines: readonly string[],
  line: number,
): { title: string; style: string; last: number } | undefined {
  const [first, second, third] = [fileLines[line - 1]!, fileLines[line], fileLines[line + 1]];
  const over = adornment.exec(first);
  if (over && second !== undefined && second.trim() !== '' && third?.trimEnd() === first.trimEnd()) {
    return { title: second.trim(), style: `over ${over[1]!}`, last: line + 2 };
  }
  const under = second === undefined || over ? null : adornment.exec(second);
  const isTitle =
    /^\S/.test(first) &&
    (line === 1 || fileLines[line - 2]!.trim() === '' || /^\.\. /.test(fileLines[line - 2]!));
  if (!under || !isTitle || second!.trimEnd().length < Math.min(4, first.trim().length)) return undefined;
  return { title: first.trim(), style: under[1]!, last: line + 1 };
}

/** The last line of what is indented deeper than `line`, blank lines inside included; `line` if nothing is. */
function indentedUntil(fileLines: readonly string[], line: number): number {
  const depth = indentOf(fileLines[line - 1]!);
  let last = line;
  for (let next = line + 1; next <= fileLines.length; next++) {
    const content = fileLines[next - 1]!;
    if (content.trim() === '') continue;
    if (indentOf(content) <= depth) break;
    last = next;
  }
  return last;
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}
