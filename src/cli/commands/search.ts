/** `spring search`: the passages that a question would be answered from. */
import { Option } from 'commander';
import { openIndex } from '../../retrieval/workspaceIndex.ts';
import { defaultIndexFile, searchRepaired } from '../../retrieval/workspace.ts';
import type { SearchHit, SearchMode, SearchOptions } from '../../retrieval/search/types.ts';
import { UserError } from '../../protocol/errors.ts';
import { count, interruptSignal } from '../options.ts';
import { bold, dim, indented, printable } from '../terminal.ts';
import type { RegisterCommand } from '../command.ts';

interface SearchCommandOptions {
  workspace: string;
  index?: string;
  top: number;
  path?: string[];
  mode?: SearchMode;
  update: boolean;
  json?: boolean;
}

export const registerSearch: RegisterCommand = (program) => {
  program
    .command('search <query>')
    .description("search a folder's documents; brings their index up to date first")
    .option('--workspace <folder>', 'the folder', '.')
    .option('--index <file>', 'the index file (default: in your cache folder, one for each folder)')
    .option('--top <n>', 'number of passages', count, 10)
    .option('--path <glob...>', 'only files whose path matches, such as docs/**/*.md')
    .addOption(
      new Option('--mode <mode>', 'default: hybrid where the index has vectors').choices([
        'bm25',
        'vector',
        'hybrid',
      ]),
    )
    .option('--no-update', 'search the index as it is')
    .option('--json', 'print one JSON document')
    .action(search);
};

async function search(query: string, options: SearchCommandOptions): Promise<void> {
  if (query.trim() === '') throw new UserError('The query is empty: type what you want to find.');
  const signal = interruptSignal();
  using index = openIndex(options.index ?? defaultIndexFile(options.workspace));
  const { startedAnew } = index.status();
  if (startedAnew !== undefined) process.stderr.write(`The index was started anew: ${startedAnew}.\n`);
  if (options.update) {
    for await (const { phase } of index.update([options.workspace], { signal })) {
      if (phase === 'waiting')
        process.stderr.write('Another process is indexing this folder; waiting for it.\n');
    }
  }
  const request: SearchOptions = { limit: options.top, signal };
  if (options.path) request.pathGlob = options.path;
  if (options.mode) request.mode = options.mode;
  const { hits, mode, notices } = options.update
    ? await searchRepaired(index, [options.workspace], query, request)
    : await index.search(query, request);
  for (const notice of notices) process.stderr.write(`${printable(notice)}\n`);
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ query, mode, hits: hits.map(toJson), notices }, null, 2)}\n`);
  } else {
    process.stdout.write(hits.length === 0 ? 'Nothing found.\n' : hits.map(describe).join('\n'));
  }
}

function toJson(hit: SearchHit): object {
  const { path, startLine, endLine, text, score, rank, bm25Rank, vectorRank, headings, folder, duplicates } =
    hit;
  return { path, startLine, endLine, text, score, rank, bm25Rank, vectorRank, headings, folder, duplicates };
}

/** Lines of a passage shown on a terminal. */
const shownLines = 6;

function describe(hit: SearchHit): string {
  const {
    rank,
    path,
    startLine,
    endLine,
    score,
    bm25Rank,
    vectorRank,
    headings,
    headingLines,
    text,
    duplicates,
  } = hit;
  const place = `${path}:${startLine}${endLine > startLine ? `-${endLine}` : ''}`;
  const ranks =
    vectorRank === null && bm25Rank === rank
      ? ''
      : `  words ${bm25Rank ?? '-'}, vectors ${vectorRank ?? '-'}`;
  const copies = duplicates.length > 0 ? `  +${duplicates.length} like it` : '';
  const lines = text
    .split('\n')
    .slice(headingLines)
    .filter((line) => line.trim() !== '');
  const snippet = lines.slice(0, shownLines).join('\n') + (lines.length > shownLines ? '\n…' : '');
  return [
    `${bold(`${rank}. ${printable(place)}`)}  ${dim(`${score.toPrecision(3)}${ranks}${copies}`)}`,
    ...(headings.length > 0 ? [dim(indented(printable(headings.join(' › ')), '   '))] : []),
    indented(printable(snippet), '   '),
    '',
  ].join('\n');
}
