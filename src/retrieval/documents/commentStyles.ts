/** How comments are written in the source files that can be indexed. */
import { extname, posix } from 'node:path';

export interface StringStyle {
  open: string;
  close: string;
  /** Whether it may go on in the next line; one that may not and is not closed ends with its line. */
  spansLines?: boolean;
  /** Whether a backslash is nothing special. */
  isRaw?: boolean;
  /** Standing alone as a statement it is documentation. */
  isDocstring?: boolean;
  /** `${…}` in it is code. */
  hasCode?: boolean;
}

export interface CommentStyle {
  /** Start of a comment that ends with its line. */
  line: readonly string[];
  /** Whether such a comment begins only after white space or at the line's start (`$#` is none in a shell). */
  lineAfterSpace?: boolean;
  /** [start, end] of comments over several lines. */
  block: readonly (readonly [string, string])[];
  /** In strings nothing is a comment. Longer ones first. */
  strings: readonly StringStyle[];
  /** Whether `/…/` is a regular expression where a value may stand. */
  regularExpressions?: boolean;
}

const quoted = (delimiter: string, more: Partial<StringStyle> = {}): StringStyle => ({
  open: delimiter,
  close: delimiter,
  ...more,
});
const [single, double] = [quoted("'"), quoted('"')];
const long = quoted('"""', { spansLines: true });
const cLike: CommentStyle = { line: ['//'], block: [['/*', '*/']], strings: [double, single] };
const withLongStrings: CommentStyle = { ...cLike, strings: [long, double, single] };
const python: CommentStyle = {
  line: ['#'],
  block: [],
  strings: [
    quoted('"""', { spansLines: true, isDocstring: true }),
    quoted("'''", { spansLines: true, isDocstring: true }),
    double,
    single,
  ],
};
const hash: CommentStyle = { line: ['#'], block: [], strings: [double, single] };

const styles: readonly (readonly [extensions: string, style: CommentStyle])[] = [
  [
    'js mjs cjs jsx ts mts cts tsx',
    {
      ...cLike,
      strings: [double, single, quoted('`', { spansLines: true, hasCode: true })],
      regularExpressions: true,
    },
  ],
  ['c h cc cpp hpp proto', cLike],
  ['java kt swift scala dart', withLongStrings],
  [
    'cs',
    {
      ...withLongStrings,
      strings: [long, { open: '@"', close: '"', spansLines: true, isRaw: true }, double, single],
    },
  ],
  ['go', { ...cLike, strings: [double, single, quoted('`', { spansLines: true, isRaw: true })] }],
  ['php', { ...cLike, line: ['//', '#'] }],
  ['css scss', cLike],
  ['rs', { ...cLike, strings: [quoted('"', { spansLines: true })] }],
  ['py pyi', python],
  ['rb pl r toml cmake', hash],
  ['sh bash yaml yml', { ...hash, lineAfterSpace: true }],
  ['sql', { line: ['--'], block: [['/*', '*/']], strings: [quoted("'", { isRaw: true }), double] }],
  [
    'lua',
    {
      line: ['--'],
      block: [['--[[', ']]']],
      strings: [double, single, { open: '[[', close: ']]', spansLines: true, isRaw: true }],
    },
  ],
  ['hs', { line: ['--'], block: [['{-', '-}']], strings: [double] }],
];

const stylesByExtension: ReadonlyMap<string, CommentStyle> = new Map(
  styles.flatMap(([extensions, style]) =>
    extensions.split(' ').map((extension) => [`.${extension}`, style] as const),
  ),
);

export function commentStyleOf(path: string): CommentStyle | undefined {
  return stylesByExtension.get(extname(posix.basename(path)).toLowerCase());
}
