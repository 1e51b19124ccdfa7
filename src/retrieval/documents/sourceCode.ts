/** Comments and docstrings of source files. */
import { blockOfLines, type Block, type ParsedDocument } from './blocks.ts';
import { commentStyleOf } from './commentStyles.ts';
import { scanComments, type Comment } from './scanComments.ts';

/** Comments shorter than this many letters (`// eslint-disable`, `# noqa`, dividers) say nothing alone. */
const fewestLetters = 20;

/**
 * The comments and docstrings of a source file as paragraphs, each with the line of code that it belongs to (the one
 * after a comment, the one before a docstring), so that the name of what it describes is found with it.
 */
export function parseSourceCode(path: string, code: string): ParsedDocument {
  const style = commentStyleOf(path);
  if (!style) return { blocks: [], isEmpty: true };
  const fileLines = code.split('\n');
  const comments = mergeLineComments(scanComments(code, style));
  const blocks: Block[] = [];
  let covered = 0;
  let before: Comment | undefined;
  for (const comment of comments) {
    const { first, last, isDocstring } = comment;
    // Several comments in the same lines give one block.
    const isRepeated = before?.first === first && before.last === last && before.isDocstring === isDocstring;
    before = comment;
    if (isRepeated) continue;
    const isBlank = (line: number) => (fileLines[line - 1] ?? '').trim() === '';
    let start = first;
    let end = last;
    if (isDocstring) {
      if (start - 1 > covered && !isBlank(start - 1)) start--;
    } else if (end < fileLines.length && !isBlank(end + 1)) {
      end++;
    }
    start = Math.max(start, covered + 1);
    if (start > end) continue;
    const block = blockOfLines('paragraph', fileLines, start, end);
    const text = fileLines.slice(first - 1, last).join('\n');
    if ((text.match(/\p{L}/gu)?.length ?? 0) < fewestLetters) continue;
    blocks.push(block);
    covered = end;
  }
  return { blocks, isEmpty: blocks.length === 0 };
}

function mergeLineComments(comments: readonly Comment[]): Comment[] {
  const merged: Comment[] = [];
  for (const comment of comments) {
    const last = merged.at(-1);
    if (last?.isWholeLine && comment.isWholeLine && comment.first === last.last + 1) last.last = comment.last;
    else merged.push({ ...comment });
  }
  return merged;
}
