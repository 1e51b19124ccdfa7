/** How comments are written in the source files that can be indexed. */
import { extname, posix } from 'node:path';

export interface CommentStyle {
  /** Start of a comment that ends with its line. */
  line: readonly string[];
  /** [start, end] of comments over several lines. */
  block: readonly (readonly [string, string])[];
  /** Delimiters of strings, in which nothing is a comment. Longer ones first. */
  strings: readonly string[];
  /** String delimiters that make a docstring when the string stands alone as a statement. */
  docstrings?: readonly string[];
}

const cLike: CommentStyle = { line: ['//'], block: [['/*', '*/']], strings: ['"', "'", '`'] };
const rust: CommentStyle = { line: ['//'], block: [['/*', '*/']], strings: ['"'] };
const python: CommentStyle = {
  line: ['#'],
  block: [],
  strings: ['"""', "'''", '"', "'"],
  docstrings: ['"""', "'''"],
};
const hash: CommentStyle = { line: ['#'], block: [], strings: ['"', "'"] };
const dashes: CommentStyle = { line: ['--'], block: [['/*', '*/']], strings: ["'", '"'] };

const stylesByExtension: Readonly<Record<string, CommentStyle>> = Object.fromEntries([
  ...[
    'js',
    'mjs',
    'cjs',
    'jsx',
    'ts',
    'mts',
    'cts',
    'tsx',
    'java',
    'c',
    'h',
    'cc',
    'cpp',
    'hpp',
    'cs',
    'go',
    'kt',
  ]
    .concat(['swift', 'scala', 'dart', 'php', 'css', 'scss', 'proto'])
    .map((extension) => [`.${extension}`, cLike] as const),
  ['.rs', rust],
  ...['py', 'pyi'].map((extension) => [`.${extension}`, python] as const),
  ...['sh', 'bash', 'rb', 'pl', 'r', 'yaml', 'yml', 'toml', 'cmake'].map(
    (extension) => [`.${extension}`, hash] as const,
  ),
  ['.sql', dashes],
  ['.lua', { line: ['--'], block: [['--[[', ']]']], strings: ['"', "'"] }],
  ['.hs', { line: ['--'], block: [['{-', '-}']], strings: ['"'] }],
]);

export function commentStyleOf(path: string): CommentStyle | undefined {
  return stylesByExtension[extname(posix.basename(path)).toLowerCase()];
}
