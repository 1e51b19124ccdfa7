import { blockOfLines, type Block, type ParsedDocument } from './blocks.ts';
import { commentStyleOf, type CommentStyle } from './commentStyles.ts';

/** Comments shorter than this many letters (`// eslint-disable`, `# noqa`, dividers) say nothing alone. */
const fewestLetters = 20;

/**
 * The comments and docstrings of a source file as paragraphs, each with the line of code that it belongs to (the one
 * after a comment, the one before a docstring), so that the name of what it describes is found with it.
 */
export function parseSourceCode(path: string, text: string): ParsedDocument {
  const style = commentStyleOf(path);
  if (!style) return { blocks: [] };
  const fileLines = text.split('\n');
  const comments = mergeLineComments(scanComments(text, style));
  const blocks: Block[] = [];
  let covered = 0;
  for (const { first, last, isDocstring } of comments) {
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
    const comment = fileLines.slice(first - 1, last).join('\n');
    if ((comment.match(/\p{L}/gu)?.length ?? 0) < fewestLetters) continue;
    blocks.push(block);
    covered = end;
  }
  return { blocks };
}

interface Comment {
  first: number;
  last: number;
  isDocstring: boolean;
  /** Ends with its line and has the line for itself: neighbours of this kind are one text. */
  isWholeLine: boolean;
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

/** One pass over the characters: strings are skipped, so that `"http://"` starts no comment. */
function scanComments(text: string, style: CommentStyle): Comment[] {
  const comments: Comment[] = [];
  let line = 1;
  let lineStart = 0;
  const at = (offset: number, tokens: readonly string[]) =>
    tokens.find((token) => text.startsWith(token, offset));
  const advance = (from: number, to: number) => {
    for (let next = text.indexOf('\n', from); next !== -1 && next < to; next = text.indexOf('\n', next + 1)) {
      line++;
      lineStart = next + 1;
    }
    return to;
  };
  for (let offset = 0; offset < text.length;) {
    const alone = text.slice(lineStart, offset).trim() === '';
    const first = line;
    const block = style.block.find(([open]) => text.startsWith(open, offset));
    if (block) {
      const end = text.indexOf(block[1], offset + block[0].length);
      offset = advance(offset, end === -1 ? text.length : end + block[1].length);
      comments.push({ first, last: line, isDocstring: false, isWholeLine: false });
      continue;
    }
    if (at(offset, style.line) !== undefined) {
      const end = text.indexOf('\n', offset);
      offset = end === -1 ? text.length : end;
      comments.push({ first, last: first, isDocstring: false, isWholeLine: alone });
      continue;
    }
    const quote = at(offset, style.strings);
    if (quote !== undefined) {
      offset = advance(offset, endOfString(text, offset + quote.length, quote));
      if (alone && style.docstrings?.includes(quote)) {
        comments.push({ first, last: line, isDocstring: true, isWholeLine: false });
      }
      continue;
    }
    offset = advance(offset, offset + 1);
  }
  return comments;
}

/** The offset after a string's end; a one-line string that is not closed (an apostrophe in a regex) ends its line. */
function endOfString(text: string, start: number, quote: string): number {
  const spansLines = quote.length > 1 || quote === '`';
  for (let offset = start; offset < text.length; offset++) {
    if (text[offset] === '\\') offset++;
    else if (text.startsWith(quote, offset)) return offset + quote.length;
    else if (text[offset] === '\n' && !spansLines) return offset;
  }
  return text.length;
}
