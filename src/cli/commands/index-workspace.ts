/** `spring index`: builds the index of a folder's documents, or brings it up to date. */
import { resolve } from 'node:path';
import { defaultIndexFile } from '../../retrieval/workspace.ts';
import type { IndexSettings } from '../../retrieval/settings.ts';
import { openIndex, type IndexProgress } from '../../retrieval/workspaceIndex.ts';
import { watchWorkspace } from '../../retrieval/watch/watchWorkspace.ts';
import { UserError } from '../../protocol/errors.ts';
import { count, interruptSignal } from '../options.ts';
import { printable } from '../terminal.ts';
import type { RegisterCommand } from '../command.ts';

interface IndexCommandOptions {
  workspace?: string;
  index?: string;
  chunkWords?: number;
  sourceCode?: boolean;
  gitignore?: boolean;
  exclude?: string[];
  embedder?: string;
  rebuild?: boolean;
  watch?: boolean;
  json?: boolean;
}

/** Problems shown on a terminal; --json has all. */
const shownProblems = 10;

export const registerIndex: RegisterCommand = (program) => {
  program
    .command('index [folder]')
    .description('index the documents of a folder (default: this one); unchanged files cost nothing')
    .option('--workspace <folder>', 'the folder, as other commands take it')
    .option('--index <file>', 'the index file (default: in your cache folder, one for each folder)')
    .option('--chunk-words <n>', 'words in a passage (default: 100)', count)
    .option('--source-code', "also index source files' comments and docstrings")
    .option('--no-source-code', 'documents alone')
    .option('--gitignore', 'obey .gitignore files (default; .springignore files always are)')
    .option('--no-gitignore', 'do not obey them')
    .option('--exclude <glob...>', 'leave out files and folders that match')
    .option(
      '--embedder <folder>',
      'embedding model for hybrid search, in sentence-transformers layout; none: BM25',
    )
    .option('--rebuild', 'forget what is indexed and begin anew')
    .option('--watch', 'go on following changes until Ctrl+C')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nSettings are kept in the index: name them once.')
    .action(indexFolder);
};

async function indexFolder(named: string | undefined, options: IndexCommandOptions): Promise<void> {
  const folder = named ?? options.workspace ?? '.';
  if (options.workspace !== undefined && resolve(options.workspace) !== resolve(folder)) {
    throw new UserError(`Two folders are named, ${folder} and ${options.workspace}; name one.`);
  }
  const start = performance.now();
  const signal = interruptSignal();
  const settings: Partial<IndexSettings> = {
    ...(options.chunkWords !== undefined && { chunkWords: options.chunkWords }),
    ...(options.sourceCode !== undefined && { sourceCode: options.sourceCode }),
    ...(options.gitignore !== undefined && { useGitignore: options.gitignore }),
    ...(options.exclude && { exclude: options.exclude }),
    ...(options.embedder !== undefined && {
      embedder: options.embedder === 'none' ? null : resolve(options.embedder),
    }),
  };
  using index = openIndex(options.index ?? defaultIndexFile(folder), settings);
  const { startedAnew } = index.status();
  if (startedAnew !== undefined) process.stderr.write(`The index was started anew: ${startedAnew}.\n`);
  let last: IndexProgress | undefined;
  for await (const progress of index.update([folder], { signal, rebuild: options.rebuild ?? false })) {
    last = progress;
    showProgress(progress);
  }
  const seconds = (performance.now() - start) / 1000;
  if (options.json) {
    const { files, added, changed, removed, unchanged, chunks, embedded, problems } = last!;
    const counts = { files, added, changed, removed, unchanged, chunks, embedded, problems };
    const { file, settings: stored, contentHash } = index.status();
    process.stdout.write(
      `${JSON.stringify({ folder: resolve(folder), index: file, ...counts, seconds, contentHash, settings: stored }, null, 2)}\n`,
    );
  } else {
    report(last!, index.file, seconds);
  }
  if (!options.watch) return;
  process.stderr.write('Following changes; Ctrl+C ends.\n');
  await watchWorkspace(index, [folder], { signal, onProgress: showProgress });
}

function showProgress({ phase, files, chunks, embedded, toEmbed }: IndexProgress): void {
  if (phase === 'waiting') process.stderr.write('Another process is indexing this folder; waiting for it.\n');
  if (!process.stderr.isTTY) return;
  const text =
    phase === 'embedding' ? `${embedded} of ${toEmbed} vectors` : `${files} files, ${chunks} passages`;
  process.stderr.write(phase === 'done' ? '\r\u001b[K' : `\r\u001b[K${text}`);
}

function report(progress: IndexProgress, file: string, seconds: number): void {
  const { files, added, changed, removed, chunks, embedded, problems } = progress;
  const vectors = embedded > 0 ? `, ${embedded} new vectors` : '';
  process.stdout.write(
    `${files} files (${added} new, ${changed} changed, ${removed} gone), ${chunks} passages${vectors}, ` +
      `${seconds.toFixed(1)} s\n${file}\n`,
  );
  if (problems.length === 0) return;
  process.stdout.write(`\nNot indexed, or only in part (${problems.length}):\n`);
  for (const { path, reason } of problems.slice(0, shownProblems)) {
    process.stdout.write(`  ${printable(path)}: ${printable(reason)}\n`);
  }
  if (problems.length > shownProblems) process.stdout.write('  … (--json lists all)\n');
}
